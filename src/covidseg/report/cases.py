"""Every tested slice with its CT, the truth and the mask of each run, as pictures beside the report.

Of a run the first seed is shown, and of a case that several folds test the first of them. The Dice beside a mask is
that of the picture: 1 where a class is neither there nor found, a mean over classes.
"""

from __future__ import annotations

import itertools
import json
import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np

from covidseg.base import records
from covidseg.data.canonical import Store
from covidseg.data.tensors import Window, read_rows
from covidseg.evaluate.predictions import test_slices
from covidseg.jobs import record
from covidseg.metrics.overlap import count
from covidseg.plan import Plan, Run, qualified
from covidseg.report import pictures
from covidseg.tables.page import slug

CASES = "cases"


@dataclass
class Shown:
    """What one run found in a case: the file of its masks, and per slice of the case the Dice (None: not tested)."""

    file: str
    fold: int
    dice: list[float | None]

    @property
    def mean(self) -> float:
        """Return the mean Dice of the slices tested."""
        known = [value for value in self.dice if value is not None]
        return sum(known) / len(known)


@dataclass
class Case:
    """A tested case: its slices as lines of the tensors' table, and what each run found in it."""

    dataset: str
    name: str
    number: int
    rows: list[dict[str, Any]]
    runs: dict[str, Shown] = field(default_factory=dict)

    @property
    def patient(self) -> str:
        """Return the patient's name."""
        return str(self.rows[0]["patient"])

    @property
    def shape(self) -> tuple[int, int]:
        """Return height and width of what is shown, in the scan's own pixels."""
        return self.rows[0]["height"], self.rows[0]["width"]

    @property
    def mean(self) -> float:
        """Return the mean over runs of their mean Dice."""
        return sum(shown.mean for shown in self.runs.values()) / len(self.runs)

    @property
    def worst(self) -> str:
        """Return the run with the lowest mean Dice."""
        return min(self.runs, key=lambda run: self.runs[run].mean)

    @property
    def link(self) -> str:
        """Return the part of a link that opens the case."""
        return f"case={quote(self.dataset)}/{quote(self.name, safe='')}"


def write(plan: Plan, out: Path) -> list[Case]:
    """Write the pictures of all tested cases and the scripts that name them below ``out``; return the cases with at
    least one run, the worst first.
    """
    runs = [run for run in map(plan.run, plan.targets.runs()) if _job(plan, run)]
    cases = _tested(plan, runs)
    classes: dict[str, dict[str, tuple[int, ...]]] = {}
    (out / CASES).mkdir(parents=True)
    for run in runs:
        values = plan.catalogue.class_values(run.spec.dataset, run.spec.classes)
        classes.setdefault(run.spec.dataset, {}).update(values)
        (out / CASES / slug(run.spec.dataset)).mkdir(exist_ok=True)
        _masks(plan, run, cases, out)
    found = [case for case in cases.values() if case.runs]
    for dataset, known in classes.items():
        of = [case for case in found if case.dataset == dataset]
        _scans(plan, dataset, known, of, out)
        _script(out / CASES / slug(dataset) / "cases.js", dataset, _details(plan, dataset, known, of))
    means = [{run: round(shown.mean, 4) for run, shown in case.runs.items()} for case in found]
    index = [[c.dataset, c.name, c.patient, len(c.rows), m] for c, m in zip(found, means, strict=True)]
    _script(out / CASES / "index.js", "", index)
    return sorted(found, key=lambda case: (case.mean, case.dataset, case.name))


def _job(plan: Plan, run: Run) -> list[tuple[int, int]]:
    """Return the trainings of a run whose masks are shown: those of its first seed that predicted slices."""
    shown = [job for job in run.jobs if job[1] == run.seeds[0]]
    return [job for job in shown if (plan.paths.job(run.id, *job) / "predictions.h5").is_file()]


def _tested(plan: Plan, runs: list[Run]) -> dict[tuple[str, str], Case]:
    """Return (data set, case) -> case with every slice that a run tested, in order."""
    import h5py

    found: dict[tuple[str, str], dict[int, dict[str, Any]]] = {}
    tables: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for run in runs:
        name, size = run.spec.dataset, run.spec.input.size
        if (name, size) not in tables:
            tables[name, size] = list(read_rows(plan.paths.tensors(name, size)))
        for job in _job(plan, run):
            path = records.verified(plan.paths.job(run.id, *job) / "predictions.h5", record.RUN)
            with records.parsing(path), h5py.File(path) as file:
                for index in file["index"][()].tolist():
                    row = tables[name, size][index]
                    found.setdefault((name, row["case"]), {})[row["position"]] = row
    numbers: Counter[str] = Counter()
    cases = {}
    for (dataset, case), rows in sorted(found.items()):
        cases[dataset, case] = Case(dataset, case, numbers[dataset], [rows[position] for position in sorted(rows)])
        numbers[dataset] += 1
    return cases


def _masks(plan: Plan, run: Run, cases: dict[tuple[str, str], Case], out: Path) -> None:
    """Write the masks of a run, a file per case, and note them in the cases."""
    for fold, seed in _job(plan, run):
        slices = test_slices(plan, run, fold, seed)
        for name, parts in itertools.groupby(slices, key=lambda s: s.case):
            case = cases[run.spec.dataset, name]
            masks: dict[str, dict[int, np.ndarray]] = {}
            dice: dict[int, list[float]] = {}
            for s in parts:
                mask = s.predicted()
                masks.setdefault(s.cls, {})[s.position] = mask
                dice.setdefault(s.position, []).append(count(s.truth, mask).dice)
            if run.id in case.runs:
                continue
            places = [row["position"] for row in case.rows]
            empty = np.zeros(case.shape, bool)
            planes = [[found.get(k, empty) for k in places] for found in masks.values()]
            file = f"{case.number:03d}-{slug(run.id)}.png"
            pictures.write_masks(out / CASES / slug(case.dataset) / file, planes)
            means = [round(float(np.mean(dice[k])), 4) if k in dice else None for k in places]
            case.runs[run.id] = Shown(file, fold, means)


def _scans(plan: Plan, dataset: str, classes: dict[str, tuple[int, ...]], cases: list[Case], out: Path) -> None:
    """Write the CT and the truth of cases."""
    with Store(plan.paths.canonical(dataset)) as store:
        for case in cases:
            image, label = store.image(case.name), store.label(case.name)
            windows = [Window(row["top"], row["left"], row["height"], row["width"]) for row in case.rows]
            places = [row["position"] for row in case.rows]
            folder = out / CASES / slug(dataset)
            tiles = [window.cut(image[k]) for window, k in zip(windows, places, strict=True)]
            pictures.write_ct(folder / f"{case.number:03d}-ct.jpg", tiles)
            if label is not None:
                cut = [window.cut(label[k]) for window, k in zip(windows, places, strict=True)]
                truth = [[np.isin(piece, joined) for piece in cut] for joined in classes.values()]
                pictures.write_masks(folder / f"{case.number:03d}-truth.png", truth)


def _details(plan: Plan, dataset: str, classes: dict[str, tuple[int, ...]], cases: list[Case]) -> dict[str, Any]:
    """Return what the page has to know to show a data set's cases."""
    known = plan.dataset(dataset)
    runs = {run: list(plan.run(run).spec.classes) for case in cases for run in case.runs}
    with Store(plan.paths.canonical(dataset)) as store:
        shown = {case.name: _about(store.attrs(case.name), case) for case in cases}
    return {"title": known.title, "window": known.window, "classes": list(classes), "runs": runs, "cases": shown}


def _about(attrs: dict[str, Any], case: Case) -> dict[str, Any]:
    spacing = [case.rows[0][key] for key in ("dy", "dx")]
    return {
        "number": f"{case.number:03d}",
        "patient": case.patient,
        "slices": [row["slice"] for row in case.rows],
        "positions": [row["position"] for row in case.rows],
        "columns": pictures.columns(len(case.rows)),
        "size": list(case.shape),
        "mm": None if any(math.isnan(value) for value in spacing) else spacing,
        "hu": bool(attrs.get("hu", False)),
        "sides": "axcodes" in attrs,
        "runs": {run: {"file": s.file, "fold": s.fold, "dice": s.dice} for run, s in case.runs.items()},
    }


def _script(path: Path, name: str, value: Any) -> None:
    """Write a value as a script: a page opened from a file may load scripts, but not JSON."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=True)
    path.write_text(f"covidsegCases({json.dumps(name)},{text});\n", "utf-8")


def own_run(plan: Plan, paper: str, cases: list[Case]) -> str | None:
    """Return the run that a paper's claims put forward most often; without claims that with the highest mean Dice."""
    found: dict[str, list[float]] = {}
    for case in cases:
        for run, shown in case.runs.items():
            if run.startswith(f"{paper}/"):
                found.setdefault(run, []).append(shown.mean)
    if not found:
        return None
    named = Counter(qualified(paper, claim.better) for claim in plan.papers[paper].tested)
    return max(found, key=lambda run: (named[run], sum(found[run]) / len(found[run])))


def extremes(plan: Plan, cases: list[Case], out: Path) -> Iterator[dict[str, Any]]:
    """Yield the worst and the best case of each paper's own run, and write a thumbnail of each: of the worst case its
    worst slice, of the best the one with the largest truth.
    """
    for paper in plan.config.papers:
        run = own_run(plan, paper, cases)
        if run is None:
            continue
        of = sorted((case for case in cases if run in case.runs), key=lambda c: (c.runs[run].mean, c.dataset, c.name))
        for which, case in (("worst", of[0]), ("best", of[-1])):
            file = f"{slug(paper)}-{which}.png"
            k = _thumbnail(plan, case, run, which == "worst", out / CASES / file)
            value = case.runs[run].dice[k]
            yield {
                "paper": paper,
                "run": run,
                "which": which,
                "case": case,
                "mean": case.runs[run].mean,
                "slice": case.rows[k]["slice"],
                "dice": value,
                "file": f"{CASES}/{file}",
                "link": f"{case.link}&run={quote(run)}&slice={k + 1}",
            }


def _thumbnail(plan: Plan, case: Case, run: str, worst: bool, path: Path) -> int:
    """Write a thumbnail of a case; return which of its slices is shown."""
    shown, folder, number = case.runs[run], path.parent / slug(case.dataset), len(case.rows)
    masks = pictures.read_masks(folder / shown.file)
    classes = plan.run(run).spec.classes
    values = plan.catalogue.class_values(case.dataset, classes)
    with Store(plan.paths.canonical(case.dataset)) as store:
        image, label = store.image(case.name), store.label(case.name)
    assert label is not None  # it was tested
    windows = [Window(row["top"], row["left"], row["height"], row["width"]) for row in case.rows]
    joined = [value for found in values.values() for value in found]
    truths = [np.isin(w.cut(label[row["position"]]), joined) for w, row in zip(windows, case.rows, strict=True)]
    known = [k for k in range(number) if shown.dice[k] is not None]
    k = min(known, key=lambda k: (shown.dice[k] if worst else 0, -int(truths[k].sum()), k))
    planes = [pictures.tile(masks, k, number, case.shape, plane) for plane in range(len(classes))]
    image = windows[k].cut(image[case.rows[k]["position"]])
    pictures.thumbnail(path, image, truths[k], np.any(planes, axis=0))
    return k
