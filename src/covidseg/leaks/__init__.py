"""Leaks: a patient, a volume or a near-duplicate slice that stands on both sides of a split.

Sides are, per fold, what a training may see (train, validation, pools of unlabelled slices; the data set's own and
other data sets of the plan besides) and what it is tested on.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from covidseg.base import csvfile, records
from covidseg.base.errors import UserError
from covidseg.data.splits import ROLES, Split
from covidseg.leaks import alike
from covidseg.leaks.alike import Item, Pictures

Patient = tuple[str, str]  # data set, name
CaseKey = tuple[str, str]  # data set, case
Pools = Mapping[str, Collection[str]]  # data set that runs learn from without labels -> cases they leave out


@dataclass(frozen=True)
class Leak:
    """One leak. ``train`` names cases (for kind slice, slices) of the data set ``data`` in the role ``role``.

    Roles are those of the split (train, val), ``pool``, and what the store says of slices that no pool holds.

    ``by`` says how it is known: ``name``, or ``picture``. Two patients are one by picture when near-duplicate slices
    join them, in a chain if need be. ``correlation`` is that of the two slices, or of the two cases' most alike slices;
    None where it is too low to say. Kind ``possible`` is a pair of slices that are alike, but not more than those of
    different bodies can be: it accuses nobody.
    """

    fold: int
    kind: str
    by: str
    data: str
    role: str
    patient: str
    train: str
    test: str
    correlation: float | None

    def within(self, dataset: str) -> bool:
        """Tell whether it is one of the split's own runs: in training, in validation or in their pools."""
        return self.role == "pool" or (self.data == dataset and self.role in ("train", "val"))


KINDS = ("patient", "case", "slice")
COLUMNS = list(Leak.__dataclass_fields__)


def find(dataset: str, slices: Pictures, split: Split, pools: Pools | None = None) -> list[Leak]:
    """Return the leaks of a split of ``dataset``; what ``slices`` hold of other data sets counts as training data.

    Of a case that validates and is tested (``val+test``) this is its only leak in the role val.
    """
    pools = pools or {}
    listed = {case for roles in split.table.values() for cases in roles.values() for case in cases}
    own = [k for k, item in enumerate(slices.items) if item.data == dataset and item.case in listed]
    if not own:
        raise UserError(f"{split.path}: none of its cases is in {dataset}; name a split of this data set")
    i, j, r = alike.pairs(slices, slices.of(own))
    j = np.asarray(own, np.int32)[j]
    cases = {case: n for n, case in enumerate(dict.fromkeys((s.data, s.case) for s in slices.items))}
    number = np.array([cases[s.data, s.case] for s in slices.items])
    order = np.argsort(r, kind="stable")
    i, j, r = i[order], j[order], r[order]
    both, last = np.unique((number[i] * len(cases) + number[j])[::-1], return_index=True)
    highest = r[::-1][last]

    def best(a: int, b: int) -> float | None:
        """Return the correlation of two cases' most alike slices."""
        at = np.searchsorted(both, a * len(cases) + b)
        return float(highest[at]) if at < len(both) and both[at] == a * len(cases) + b else None

    close = r >= alike.ALIKE
    duplicates = list(zip(i[close].tolist(), j[close].tolist(), r[close].tolist(), strict=True))
    near = (r >= alike.POSSIBLE) & ~close
    possible = list(zip(i[near].tolist(), j[near].tolist(), r[near].tolist(), strict=True))
    groups = _groups(slices.items, duplicates)
    first = {number[k]: slices.items[k] for k in range(len(slices.items) - 1, -1, -1)}

    out = []
    for fold in split.folds:
        sides = {role: [key for case in split.cases(fold, role) if (key := (dataset, case)) in cases] for role in ROLES}
        tested = set(sides["test"])  # without cases that have no slice to use
        fit: dict[tuple[str, str], str] = {key: "train" for key in sides["train"]}
        for key in sides["val"]:
            if key in tested:
                out.append(Leak(fold, "case", "name", dataset, "val", first[cases[key]].patient, key[1], key[1], None))
            else:
                fit[key] = "val"
        for key, n in cases.items():
            if key[0] != dataset or (key[1] not in listed and first[n].role == "unlabelled"):
                pooled = key[0] in pools and key[1] not in pools[key[0]]
                fit[key] = "pool" if pooled else first[n].role
        who = {key: first[cases[key]] for key in (*fit, *tested)}
        for key, test in _candidates(fit, tested, who, groups):
            if said := _same(who[key], who[test], groups):
                kind, by, patient = said
                found = best(cases[key], cases[test])
                out.append(Leak(fold, kind, by, key[0], fit[key], patient, key[1], test[1], found))
        nearest: dict[tuple[str, str, str], Leak] = {}  # ascending correlation: the last one of a tested slice stays
        for k, test_k, value in duplicates:
            a, b = slices.items[k], slices.items[test_k]
            if (b.data, b.case) in tested and (a.data, a.case) in fit:
                role = fit[a.data, a.case]
                leak = Leak(fold, "slice", "picture", a.data, role, b.patient, a.slice, b.slice, value)
                nearest[b.slice, a.data, role] = leak
        out += [nearest[key] for key in sorted(nearest)]
        perhaps: dict[tuple[str, str, str], Leak] = {}
        for k, test_k, value in possible:
            a, b = slices.items[k], slices.items[test_k]
            if (b.data, b.case) in tested and (a.data, a.case) in fit and not _same(a, b, groups):
                role = fit[a.data, a.case]
                perhaps[b.slice, a.data, role] = Leak(
                    fold, "possible", "picture", a.data, role, b.patient, a.slice, b.slice, value
                )
        out += [perhaps[key] for key in sorted(perhaps) if key not in nearest]
    return out


def between(a: Pictures, b: Pictures) -> list[Leak]:
    """Return what two data sets share when one is trained on ``a`` and tested on all of ``b``."""
    dataset = b.items[0].data
    cases = list(dict.fromkeys(item.case for item in b.items))
    return find(dataset, a + b, Split(Path(dataset), {0: {"train": [], "val": [], "test": cases}}))


def write(
    dataset: str, split: Split, slices: Pictures, name: str, csv: Path, summary: Path, pools: Pools | None = None
) -> str:
    """Write the leaks as CSV and their summary as JSON; return the finding in words."""
    from covidseg.leaks.words import finding

    leaks = find(dataset, slices, split, pools)
    csvfile.write(csv, COLUMNS, map(asdict, leaks), digits=3)
    text = finding(dataset, leaks, _tested(dataset, slices, split))
    own = [leak for leak in leaks if leak.within(dataset)]
    facts = {
        "dataset": dataset,
        "split": name,
        "compared_with": list(dict.fromkeys(item.data for item in slices.items if item.data != dataset)),
        "pools": {data: sorted(left_out) for data, left_out in (pools or {}).items()},
        "slices": len(slices.items),
        "hash_bits": alike.BITS,
        "correlation": alike.ALIKE,
        "within": {kind: sum(leak.kind == kind for leak in own) for kind in KINDS},  # train, val, pools
        "in_all": {kind: sum(leak.kind == kind for leak in leaks) for kind in KINDS},  # and other data
        "finding": text,
    }
    records.write(summary, [csv], **facts)
    return text


def _tested(dataset: str, slices: Pictures, split: Split) -> set[str]:
    """Return the patients whom any fold tests."""
    cases = {case for fold in split.folds for case in split.cases(fold, "test")}
    return {item.patient for item in slices.items if item.data == dataset and item.case in cases}


def _groups(items: list[Item], duplicates: list[tuple[int, int, float]]) -> dict[Patient, list[Patient]]:
    """Return patient -> all patients whom chains of near-duplicates join to this one, itself among them."""
    parent: dict[Patient, Patient] = {}

    def root(key: Patient) -> Patient:
        while key in parent:
            key = parent[key]
        return key

    for i, j, _ in duplicates:
        a, b = (root((items[k].data, items[k].patient)) for k in (i, j))
        if a != b:
            parent[a] = b
    members: dict[Patient, list[Patient]] = {}
    for key in dict.fromkeys((item.data, item.patient) for item in items):
        members.setdefault(root(key), []).append(key)
    return {key: keys for keys in members.values() for key in keys}


def _candidates(
    fit: Iterable[CaseKey],
    tested: Iterable[CaseKey],
    who: Mapping[CaseKey, Item],
    groups: Mapping[Patient, list[Patient]],
) -> list[tuple[CaseKey, CaseKey]]:
    """Return the pairs of a case that is learned from and a tested one whose patients share a name or a group.

    Not every pair is looked at: their number grows with the square of the cases.
    """
    cases: dict[Patient, list[tuple[int, CaseKey]]] = {}
    named: dict[str, set[Patient]] = {}
    for rank, key in enumerate(fit):
        item = who[key]
        cases.setdefault((item.data, item.patient), []).append((rank, key))
        named.setdefault(item.patient, set()).add((item.data, item.patient))
    found = []
    for test in tested:
        item = who[test]
        patients = named.get(item.patient, set()).union(groups[item.data, item.patient])
        found += [(rank, test, key) for patient in patients for rank, key in cases.get(patient, ())]
    return [(key, test) for _, test, key in sorted(found)]


def _same(a: Item, b: Item, groups: dict[Patient, list[Patient]]) -> tuple[str, str, str] | None:
    """Return (kind, by, patient) when two cases are one, or of one patient.

    Between data sets a name that is only a number says nothing.
    """
    by_name = a.data == b.data or not b.patient.isdecimal()
    if by_name and a.patient == b.patient:
        return "case" if a.case == b.case else "patient", "name", b.patient
    joined = groups[b.data, b.patient]
    if (a.data, a.patient) in joined:
        return "patient", "picture", "|".join(sorted({name for _, name in joined}))
    return None
