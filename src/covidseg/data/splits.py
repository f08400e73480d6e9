"""Splits: which cases train, validate and test in each fold: committed CSV files, or made by a rule (``make``).

How the committed ones were made, from the five groups of four cases that Ma et al. (2020) published:
``ma5`` tests on group k and trains on the other 16 cases, ``ma5-4-16`` trains on group k and tests on the other 16;
``ma5-zenodo20`` is ma5 for that data set's cases. Validation is one case: in ma5 the first of the group after k, in
ma5-4-16 the first of group k. The first of a group is a coronacase, the only volume of its patient. ``infnet-50-48`` is
Inf-Net's release without validation (SSA-Net's Dataset2); in ``infnet-45-5-48`` five of the 50 validate, which ones is
not published: ``random.Random(0).sample(train_ids, 5)``.

``ma5`` tests radiopaedia_10_85902_1 and radiopaedia_29_86491_1 in fold 2, the other scan of each patient in fold 4.
``ma5-patients`` swaps radiopaedia_29_86491_1 and radiopaedia_10_85902_3, so that both scans of a patient are tested in
one fold; nothing else changes. In ``ma5-patients-zenodo20`` radiopaedia_10_85902_3 moves from fold 4 to fold 2.

``dataset3-paper`` is SSA-Net's Dataset3 as it was used: the 98 slices with GGO or consolidation of medseg-1 train, the
nine volumes both choose the best epoch and are tested (``val+test``). In ``dataset3-clean`` three volumes validate,
``random.Random(0).sample(volumes, 3)``, and the other six are tested. ``infnet-50-48-val`` does with COVID-SemiSeg what
``dataset3-paper`` does: 50 slices train, the other 48 validate and test.

``attnfusion-5`` parts medseg-all into five folds, A's images and B's volumes each by themselves: both lists shuffled by
``random.Random(0)``, images first, every fifth one tested, none validating. ``attnfusion``, a hold-out, is its fold 0.
``attnfusion-5-zenodo20`` and ``attnfusion-zenodo20`` are the folds of ``ma5-patients-zenodo20`` for both halves of its
cases, those that validate there training here.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

from covidseg.base import csvfile, names
from covidseg.base.errors import UserError, nearest

ROLES = ("train", "val", "test")
COLUMNS = ["fold", "case", "role"]


@dataclass(frozen=True)
class Split:
    """A split: fold -> role -> cases, in the file's order."""

    path: Path
    table: dict[int, dict[str, list[str]]]

    @property
    def folds(self) -> list[int]:
        """Return the numbers of the folds, ascending."""
        return sorted(self.table)

    @property
    def names(self) -> list[str]:
        """Return the cases of all folds, each once."""
        return list(dict.fromkeys(case for roles in self.table.values() for cases in roles.values() for case in cases))

    def cases(self, fold: int, role: str) -> list[str]:
        """Return the cases of a role in a fold. Raises UserError for an unknown role or a fold that is not there."""
        if role not in ROLES:
            raise UserError(f"{self.path}: unknown role {role!r}; {nearest(role, ROLES)}")
        if fold not in self.table:
            raise UserError(f"{self.path}: no fold {fold}; it has {', '.join(map(str, self.folds))}")
        return list(self.table[fold][role])


def read(path: Path) -> Split:
    """Read a split from CSV with the columns fold, case, role; lines that start with # are comments.

    A case in the role ``val+test`` does both. Raises UserError for other columns, an unknown role, a case twice in a
    fold or with two roles otherwise, and a fold without train or test.
    """
    try:
        with csvfile.opened(path) as f:
            lines = (line for line in f if line.strip() and not line.startswith("#"))
            rows = [row for _, row in csvfile.parse(lines, csvfile.all_text)]
    except FileNotFoundError:
        raise UserError(f"{path}: no such split; write one with the columns fold,case,role") from None
    except (OSError, ValueError) as e:
        raise UserError(f"{path}: cannot be read ({e})") from e
    if rows and list(rows[0]) != COLUMNS:
        raise UserError(f"{path}: expected the columns fold,case,role, found {','.join(rows[0])}")
    table: dict[int, dict[str, list[str]]] = {}
    for row in rows:
        fold, case, role = row["fold"], row["case"], row["role"]
        if why := names.problem(case):
            raise UserError(f"{path}: {case[:40]!r} cannot name a case: {why}")
        if not fold.isdecimal():
            raise UserError(f"{path}: fold {fold!r} of case {case!r} is not a whole number")
        parts = role.split("+")
        if unknown := [part for part in parts if part not in ROLES]:
            raise UserError(f"{path}: unknown role {unknown[0]!r} of case {case!r}; {nearest(unknown[0], ROLES)}")
        if len(parts) > 1 and sorted(parts) != ["test", "val"]:
            raise UserError(f"{path}: role {role!r} of case {case!r}; only val+test go together")
        roles = table.setdefault(int(fold), {name: [] for name in ROLES})
        if any(case in cases for cases in roles.values()):
            raise UserError(f"{path}: case {case!r} is twice in fold {fold}")
        for part in parts:
            roles[part].append(case)
    for fold_number, roles in sorted(table.items()):
        for role in ("train", "test"):
            if not roles[role]:
                raise UserError(f"{path}: fold {fold_number} has no {role} cases")
    if not table:
        raise UserError(f"{path}: no folds; write lines fold,case,role")
    return Split(path, table)


# ---- splits that are made by a rule

RULES_IN_WORDS = "folds-5 (any number from 2 to 20), hold-out"
_RULE = r"folds-(?:[2-9]|1\d|20)|hold-out"


def is_rule(name: str) -> bool:
    """Return whether a split's name is a rule to make it by: folds-2 to folds-20, or hold-out."""
    return re.fullmatch(_RULE, name) is not None


def rule_of(name: str) -> tuple[str, str] | None:
    """Return (data set, rule) of the name of a made split, as mine-folds-5; None of another name."""
    found = re.fullmatch(rf"(.+)-({_RULE})", name)
    return (found[1], found[2]) if found else None


def folds_of(rule: str) -> list[int]:
    """Return the numbers of the folds that a rule makes."""
    return list(range(int(rule.removeprefix("folds-")))) if rule.startswith("folds-") else [0]


def make(
    rule: str,
    cases: Iterable[tuple[str, str, str]],
    path: Path,
    lacking: Collection[str] = frozenset(),
    validate: bool = True,
) -> Split:
    """Make a split of the labelled ``cases``, each (name, patient, role in the data set); patients stay together.

    folds-K tests each of K groups of patients once and leaves scans of the role test alone; hold-out tests those and
    trains on the others. One in ten patients left for training validates, at least one where there are two. Patients
    are drawn by the sha256 of their names: equal on every machine. The cases ``lacking`` do not show every class;
    their patients validate only where no other is left. Without ``validate`` none does. Raises UserError when there
    are too few.
    """
    listed = list(dict.fromkeys(cases))
    held = {patient for _, patient, role in listed if role == "test"}
    bare = {patient for _, patient, _ in listed} - {patient for case, patient, _ in listed if case not in lacking}
    patients = sorted(
        {patient for _, patient, _ in listed} - held, key=lambda name: hashlib.sha256(name.encode()).digest()
    )
    if rule == "hold-out":
        if not held or not patients:
            missing = "labelled test scans (labelsTs)" if not held else "labelled scans to train on"
            raise UserError(f"{path}: no {missing} to hold out; set split: folds-5")
        folds = [(held, patients)]
    else:
        count = len(folds_of(rule))
        if len(patients) < count:
            raise UserError(f"{path}: {len(patients)} labelled patients for {rule}; label more, or make fewer folds")
        groups = [patients[k::count] for k in range(count)]
        folds = [(set(groups[k]), [p for group in groups[k + 1 :] + groups[:k] for p in group]) for k in range(count)]
    table = {}
    for fold, (tested, rest) in enumerate(folds):
        rest = sorted(rest, key=lambda patient: patient in bare)
        validating = set(rest[: max(1, round(len(rest) / 10))] if validate and len(rest) > 1 else [])
        roles = {"train": set(rest) - validating, "val": validating, "test": tested}
        table[fold] = {
            role: [c for c, p, own in listed if p in chosen and (role == "test" or own != "test")]
            for role, chosen in roles.items()
        }
    return Split(path, table)


def write(split: Split, about: str) -> None:
    """Write a split as CSV, with a comment on how it was made."""
    listed = ((fold, case, role) for fold in split.folds for role in ROLES for case in split.cases(fold, role))
    rows = (dict(zip(COLUMNS, line, strict=True)) for line in listed)
    csvfile.write(split.path, COLUMNS, rows, about=about)
