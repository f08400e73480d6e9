"""Tables of data sets: slices that count, classes, and shares of pixels."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from covidseg.data.canonical import Store
from covidseg.data.imported import imported
from covidseg.data.tensors import lung_of
from covidseg.plan import Plan
from covidseg.tables.cell import DIFFERS, EQUAL, NOT_COMPARABLE, NOT_RUN, Cell

if TYPE_CHECKING:
    from covidseg.tables.kinds.datasets import DatasetRow, DatasetTable


def dataset_cells(plan: Plan, table: DatasetTable) -> list[Cell]:
    """Return the cells of a table that counts slices, classes and shares of pixels."""
    wanted = table.wanted_datasets(plan.targets)
    cells = []
    for row in table.rows:
        used = {name: plan.catalogue.stands_for(name) for name in row.datasets}
        names = list(used.values())
        found = count(plan, names, row) if all(name in wanted for name in names) else {}
        reasons = ["phantom CT, not patients"] if plan.config.mode == "demo" else []
        reasons += [f"{new} stands in for {old}" for old, new in used.items() if new != old]
        for column, key in table.columns.items():
            printed, ours = row.printed.get(column), found.get(key)
            value = float(printed) if printed is not None else None
            difference = ours - value if ours is not None and value is not None else None
            if ours is None:
                verdict = NOT_RUN if not found else ""
            elif value is None:
                verdict = ""
            elif reasons:
                verdict = NOT_COMPARABLE
            else:
                verdict = EQUAL if abs(ours - value) < 5e-5 else DIFFERS
            cells.append(
                Cell(
                    row=row.label,
                    run=" + ".join(names),
                    cls="",
                    protocol="",
                    column=column,
                    metric=key,
                    printed=value,
                    ours=ours,
                    sd=None,
                    difference=difference,
                    verdict=verdict,
                    why="; ".join(reasons),
                    folds=0,
                    seeds=0,
                    slices=int(found.get("slices", 0)),
                    digits=0 if key in ("all", "cases", "slices", "classes") else 4,
                )
            )
    return cells


def count(plan: Plan, datasets: list[str], row: DatasetRow) -> dict[str, float]:
    """Return labelled slices and their cases, slices with lesion, the number of classes, and shares: of each class, of
    all lesions and of lung.

    A class counts when some slice shows it. Shares are means over the slices that count, of the class's pixels per
    pixel of the slice; where the data set's crop makes slices smaller, per pixel of the crop, which holds the lungs.
    """
    slices = every = 0
    cases: set[tuple[str, str]] = set()
    shares: dict[str, list[float]] = {}
    for name in datasets:
        lesion = plan.catalogue.class_values(name, [row.lesion])[row.lesion]
        by_value = {value: key for key, value in plan.dataset(name).classes.items()}
        lungs = lung_pixels(plan.paths.canonical(name))
        crop = plan.dataset(name).crop
        for line in imported(plan.paths.canonical(name), name):
            if line[f"px_{next(iter(by_value.values()))}"] is not None:  # it has labels
                every += 1
                cases.add((name, line["case"]))
            pixels = {key: line[f"px_{key}"] or 0 for key in by_value.values()}
            infected = sum(pixels[by_value[value]] for value in lesion)
            if not infected:
                continue
            slices += 1
            height, width = line["height"], line["width"]
            area = min(height, crop.size) * min(width, crop.size) if crop else height * width
            if lungs is not None:
                shares.setdefault("lung", []).append(lungs[line["slice"]] / area)
            for key in {row.lesion, *row.classes}:
                if key in pixels or key == row.lesion:
                    shares.setdefault(key, []).append((infected if key == row.lesion else pixels[key]) / area)
    means = {key: float(np.mean(values)) for key, values in shares.items()}
    present = sum(1 for key in row.classes if means.get(key, 0) > 0)
    counts = {"all": float(every), "cases": float(len(cases)), "slices": float(slices), "classes": float(present)}
    return means | counts


def lung_pixels(folder: Path) -> dict[str, int] | None:
    """Return lung pixels per slice id; None where the data set has no lung masks."""
    with Store(folder / "lungs.h5") as masks, Store(folder) as store:
        if masks.file_attrs()["source"] == "none":
            return None
        pixels: dict[str, int] = {}
        for case in store.cases():
            lung = lung_of(masks, case)
            assert lung is not None
            pixels |= {f"{case}/{position:03d}": int(slice_.sum()) for position, slice_ in enumerate(lung)}
        return pixels
