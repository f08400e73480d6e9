"""A leak check's finding in a sentence or two, as captions carry it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from covidseg.leaks.alike import ALIKE

if TYPE_CHECKING:
    from covidseg.leaks import Leak

NONE = "no patient, case or near-duplicate slice stands on both sides"
VERBS = {"train": "train", "val": "validate"}
WHERE = {"train": "training", "val": "validation"}
MOST = 3  # groups by picture named one by one


def finding(dataset: str, leaks: list[Leak], tested: set[str]) -> str:
    """Return what a reader of a table has to know; ``tested`` are the patients whom any fold tests."""
    within = [leak for leak in leaks if leak.within(dataset)]
    own = [leak for leak in within if leak.role != "pool"]
    parts = [*_both(own), *_named(own), *_pictured(own)]
    for role, where in WHERE.items():
        if copies := {(leak.fold, leak.test) for leak in own if leak.kind == "slice" and leak.role == role}:
            parts.append(f"{_slices(len(copies))} a near-duplicate in {where}")
    for data, stand in _elsewhere([leak for leak in within if leak.role == "pool"], tested).items():
        parts.append(stand.format(where=f"the pool of unlabelled slices, {data}"))
    text = f"Leaks: {'; '.join(parts) or NONE}."
    for data, stand in _elsewhere([leak for leak in leaks if not leak.within(dataset)], tested).items():
        where = "its own unlabelled slices" if data == dataset else data
        text += f" {stand.format(where=where)}: never train there and test here."
    if perhaps := [leak for leak in leaks if leak.kind == "possible"]:
        patients, highest = {leak.patient for leak in perhaps}, max(leak.correlation or 0 for leak in perhaps)
        text += (
            f" Possible: slices of {len(patients)} tested patient{'s' if len(patients) > 1 else ''} look like slices "
            f"that are learned from (correlation {highest:.2f}; {ALIKE} is certain)."
        )
    return text


def _elsewhere(leaks: list[Leak], tested: set[str]) -> dict[str, str]:
    """Return data set -> how many tested patients stand there too; the sentence has a place for ``where``."""
    stand = {}
    for data in dict.fromkeys(leak.data for leak in leaks):
        shared = {leak.patient for leak in leaks if leak.data == data and leak.kind in ("case", "patient")}
        shown = {leak.test for leak in leaks if leak.data == data and leak.kind == "slice"}
        nearly = f" ({_slices(len(shown))} a near-duplicate there)" if shown else ""
        if not shared and not shown:
            continue
        stand[data] = f"{len(shared)} of {len(tested)} tested patients also stand in {{where}}{nearly}"
    return stand


def _both(leaks: list[Leak]) -> list[str]:
    """Say how many test cases are validated too."""
    number = len({leak.test for leak in leaks if leak.kind == "case"})
    said = "1 test case also chooses" if number == 1 else f"{number} test cases also choose"
    return [f"{said} the best epoch"] if number else []


def _named(leaks: list[Leak]) -> list[str]:
    """Say which folds train on patients whom they test."""
    folds: dict[tuple[str, str], list[int]] = {}
    for leak in leaks:
        if leak.kind == "patient" and leak.by == "name":
            folds.setdefault((leak.role, leak.patient), []).append(leak.fold)
    patients: dict[tuple[str, tuple[int, ...]], list[str]] = {}
    for (role, patient), found in sorted(folds.items()):
        patients.setdefault((role, tuple(sorted(set(found)))), []).append(patient)
    return [
        f"{_folds(found)} {VERBS[role]}{'s' if len(found) == 1 else ''} on patient{'s' if len(names) > 1 else ''} "
        f"{_and(names)}, who {'are' if len(names) > 1 else 'is'} tested"
        for (role, found), names in patients.items()
    ]


def _pictured(leaks: list[Leak]) -> list[str]:
    """Say which training and validation cases look like the patient of which test cases."""
    groups: dict[tuple[str, str], list[Leak]] = {}
    for leak in leaks:
        if leak.kind == "patient" and leak.by == "picture":
            groups.setdefault((leak.role, leak.patient), []).append(leak)
    parts = []
    for (role, _), group in list(groups.items())[:MOST]:
        fit, tested = ({getattr(leak, side) for leak in group} for side in ("train", "test"))
        look = f"look{'s' if len(fit) == 1 else ''} like the patient of test {_and(tested)}"
        parts.append(f"{role} {_and(fit)} {look} ({_folds([leak.fold for leak in group])})")
    return parts + ([f"{len(groups) - MOST} more groups look like one patient"] if len(groups) > MOST else [])


def _slices(number: int) -> str:
    return "1 tested slice has" if number == 1 else f"{number} tested slices have"


def _folds(numbers: Iterable[int]) -> str:
    names = sorted(set(numbers))
    return f"fold{'s' if len(names) > 1 else ''} {_and(map(str, names))}"


def _and(names: Iterable[str]) -> str:
    """Return names once, in natural order: 5, 17 and 46."""
    ordered = sorted(set(names), key=lambda name: (not name.isdecimal(), int(name) if name.isdecimal() else 0, name))
    return " and ".join(filter(None, [", ".join(ordered[:-1]), ordered[-1]]))
