"""Rows of qualitative figures: what each method segmented on test slices, beside the truth.

Slices are chosen by ``RULE``, not by hand. The box marks the largest region where the methods disagree.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from covidseg.data.canonical import Store
from covidseg.evaluate.predictions import test_maps, test_slices
from covidseg.figures.page import TRUTH, Box, Masks, NothingToShowError, Panel, Row
from covidseg.metrics.overlap import Counts, count
from covidseg.plan import Plan, Run

if TYPE_CHECKING:
    from covidseg.evaluate.score import Slice
    from covidseg.figures.kinds.qualitative import Group, QualitativeFigure

RULE = (
    "of the test slices whose true area is at least the median one, those on which the methods' Dice differs most, one "
    "per case"
)

SMALL = "of the test slices that show something, those with the smallest true area, one per case"

BY_IMAGE = (
    "of the test images that show the lesion by their label, those of which the methods mark the most different shares"
)

DICE = "Dice: of a slice, the mean over its classes; one that is neither there nor found is left out of it"


@dataclass(frozen=True)
class Scored:
    """What decides whether a slice is shown: its case, its true pixels, and a method's Dice as ``mean_dice``."""

    case: str
    area: int
    dice: float


def rows(plan: Plan, paper: str, figure: QualitativeFigure) -> tuple[list[Row], list[str]]:
    """Return a figure's rows, group by group, and sentences on groups that have none.

    Raises NothingToShowError when no slice of any group qualifies.
    """
    found: list[Row] = []
    missing = []
    for group in figure.groups:
        try:
            found += _group(plan, paper, group)
        except NothingToShowError as e:
            missing.append(str(e))
    if not found:
        raise NothingToShowError("; ".join(missing))
    return found, missing


def _group(plan: Plan, paper: str, group: Group) -> list[Row]:
    every = group.jobs(plan.targets, paper)
    jobs = {heading: job for heading, job in every.items() if heading not in group.maps}
    # Predictions are read twice: all of them at the slices' own size would fill the memory.
    chosen = choose(
        {heading: scored(test_slices(plan, *job)) for heading, job in jobs.items()}, group.slices, group.pick
    )
    run, fold, _ = next(iter(jobs.values()))
    if not chosen:
        raise NothingToShowError(f"{group.label or run.id}, fold {fold}: no test slice shows any of its classes")
    found = {heading: by_slice(test_slices(plan, *job), chosen) for heading, job in jobs.items()}
    heat = {
        heading: (test_maps(plan, *every[heading], shown.map, chosen), shown.grey)
        for heading, shown in group.maps.items()
    }
    used = run.spec.dataset
    label = plan.catalogue.label_of(group.label, used, any(used == stand_in for _, stand_in in run.stand_ins))
    out = []
    for name in chosen:
        row = row_of(name, ct(plan, run, name), {heading: parts[name] for heading, parts in found.items()}, label)
        maps = {heading: Panel((), heat=maps[name], grey=grey) for heading, (maps, grey) in heat.items()}
        panels = {heading: row.panels.get(heading) or maps[heading] for heading in every}
        truth = {TRUTH: row.panels[TRUTH]} if TRUTH in row.panels else {}
        out.append(replace(row, panels=panels | truth))
    return out


def scored(slices: Iterable[Slice]) -> dict[str, Scored]:
    """Return slice id -> what decides whether it is shown."""
    parts: dict[str, list[tuple[str, int, Counts]]] = {}
    for s in slices:
        parts.setdefault(s.slice, []).append((s.case, int(s.truth.sum()), count(s.truth, s.predicted())))
    return {
        name: Scored(found[0][0], sum(area for _, area, _ in found), mean_dice([counts for *_, counts in found]))
        for name, found in parts.items()
    }


def by_slice(slices: Iterable[Slice], chosen: list[str]) -> dict[str, list[Slice]]:
    """Return slice id -> prediction and truth per class, of the chosen slices."""
    found: dict[str, list[Slice]] = {}
    for s in slices:
        if s.slice in chosen:
            found.setdefault(s.slice, []).append(s)
    return found


def choose(methods: dict[str, dict[str, Scored]], wanted: int, pick: str = "differ") -> list[str]:
    """Return the ids of at most ``wanted`` slices to show, by ``RULE`` or, with ``pick`` small, by ``SMALL``.

    None when no slice shows any class.
    """
    first = next(iter(methods.values()))
    areas = [slice_.area for slice_ in first.values() if slice_.area]
    large = [name for name, slice_ in first.items() if areas and slice_.area >= np.median(areas)]

    def spread(name: str) -> float:
        scores = [found[name].dice for found in methods.values()]
        return max(scores) - min(scores)

    if pick == "small":
        ordered = sorted((name for name in first if first[name].area), key=lambda n: (first[n].area, n))
    else:
        ordered = sorted(large, key=lambda n: (-spread(n), n))
    chosen: dict[str, str] = {}  # one per case
    for name in ordered:
        chosen.setdefault(first[name].case, name)
    return list(chosen.values())[:wanted]


def row_of(name: str, image: npt.NDArray[np.uint8], methods: dict[str, list[Slice]], group: str = "") -> Row:
    """Return the row of one slice: column heading -> prediction and truth per class."""
    first = next(iter(methods.values()))
    drawn = all(s.drawn for s in first)
    panels = {
        heading: Panel([(s.cls, s.predicted()) for s in parts], _note(parts) if drawn else "")
        for heading, parts in methods.items()
    }
    box = disagreement([panel.masks for panel in panels.values()])
    if drawn:
        panels[TRUTH] = Panel([(s.cls, s.truth) for s in first])
    return Row(name, image, panels, box, group)


def mean_dice(classes: Iterable[Counts]) -> float:
    """Return the mean Dice of a slice's classes that are there or were found; 1 where there is none.

    A class that is neither there nor found has no part in it: half of 0.50 would be for what nobody could miss.
    """
    counted = [counts.dice for counts in classes if counts.tp + counts.fp + counts.fn]
    return float(np.mean(counted)) if counted else 1.0


def _note(parts: list[Slice]) -> str:
    """Return what stands below a panel."""
    found = [count(s.truth, s.predicted()) for s in parts]
    shown = any(counts.tp + counts.fp + counts.fn for counts in found)
    return f"Dice {mean_dice(found):.2f}" if shown else "nothing there, nothing found"


def disagreement(methods: list[Masks]) -> Box | None:
    """Return the box of the largest connected region where the methods' masks of some class are not all equal."""
    from scipy import ndimage

    stacks = [np.stack([mask for _, mask in masks]) for masks in methods]  # classes, rows, columns
    differ = np.any([stack != stacks[0] for stack in stacks], axis=(0, 1))
    labels, n = ndimage.label(differ)
    if not n:
        return None
    largest = 1 + int(np.argmax(np.bincount(labels.ravel())[1:]))
    rows, columns = ndimage.find_objects(labels)[largest - 1]
    return rows.start, columns.start, rows.stop, columns.stop


def ct(plan: Plan, run: Run, slice_id: str) -> npt.NDArray[np.uint8]:
    """Return a slice's CT in the window that its tensors show, uint8 (H, W)."""
    from covidseg.data.tensors import Window, read_rows

    table = read_rows(plan.paths.tensors(run.spec.dataset, run.spec.input.size))
    line = next(row for row in table if row["slice"] == slice_id)
    with Store(plan.paths.canonical(run.spec.dataset)) as store:
        image = store.image(line["case"])[line["position"]]
    return Window(line["top"], line["left"], line["height"], line["width"]).cut(image)
