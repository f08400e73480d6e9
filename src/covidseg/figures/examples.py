"""Rows of figures of examples: slices of data sets with their true lesions. Slices are chosen by ``rule``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from covidseg.data.canonical import Store
from covidseg.data.imported import imported
from covidseg.figures.page import NothingToShowError, Panel, Row
from covidseg.plan import Plan

if TYPE_CHECKING:
    from covidseg.figures.kinds.examples import ExampleGroup, ExamplesFigure

LESIONS = "True lesions"


def rows(plan: Plan, figure: ExamplesFigure) -> list[Row]:
    """Return a figure's rows, group by group. Raises NothingToShowError without a slice of all classes."""
    return [row for group in figure.groups for row in _group(plan, group)]


def _group(plan: Plan, group: ExampleGroup) -> list[Row]:
    name = plan.catalogue.stands_for(group.dataset)
    folder, values = plan.paths.canonical(name), plan.catalogue.class_values(name, group.classes)
    titles = {value: title for title, value in plan.dataset(name).classes.items()}
    counted = [
        {**line, **{cls: sum(line[f"px_{titles[v]}"] or 0 for v in joined) for cls, joined in values.items()}}
        for line in imported(folder, name)
    ]
    chosen = choose(counted, group.classes, group.slices)
    if not chosen:
        raise NothingToShowError(f"{name}: no slice shows {' and '.join(group.classes)}; name other classes")
    chosen = without(counted, group.classes, group.healthy) + chosen
    shown_as = plan.catalogue.label_of(group.label, name, name != group.dataset)
    out = []
    with Store(folder) as store:
        for line in chosen:
            image, labels = store.image(line["case"]), store.label(line["case"])
            assert labels is not None  # its pixels were counted
            label = labels[line["position"]]
            masks = [(cls, np.isin(label, joined)) for cls, joined in values.items()]
            out.append(Row(line["slice"], image[line["position"]], {LESIONS: Panel(masks)}, group=shown_as))
    return out


def rule(classes: list[str], wanted: int, healthy: int = 0) -> str:
    """Return how slices are chosen, in words."""
    order = f"the share of {classes[0]} in the lesion" if len(classes) > 1 else "lesion area"
    which = {1: "the middle one", 2: "the first and the last"}.get(wanted, f"{wanted} evenly spaced")
    without = "of the cases with most slices without lesion the middle one of these; then " if healthy else ""
    return (
        f"{without}of each case the slice with the largest lesion that shows {' and '.join(classes)}; of those with at "
        f"least the median lesion area, ordered by {order}, {which}"
    )


def without(table: list[dict[str, Any]], classes: list[str], wanted: int) -> list[dict[str, Any]]:
    """Return at most ``wanted`` lines of slices that show none of the classes: of a case the middle one of these."""
    found: dict[str, list[dict[str, Any]]] = {}
    labelled = [
        line
        for line in table
        if all(line[key] is not None for key in line if key.startswith("px_") and key != "px_lung")
    ]
    for line in labelled:
        if not any(line[name] for name in classes):
            found.setdefault(line["case"], []).append(line)
    large = sorted(found.values(), key=lambda lines: (-len(lines), lines[0]["case"]))  # volumes before single images
    return [lines[len(lines) // 2] for lines in large[:wanted]]


def choose(table: list[dict[str, Any]], classes: list[str], wanted: int) -> list[dict[str, Any]]:
    """Return at most ``wanted`` lines of a table of slices, by ``rule``; it has each class's pixels by name."""

    def area(line: dict[str, Any]) -> int:
        return sum(line[name] for name in classes)

    largest: dict[str, dict[str, Any]] = {}
    for line in sorted(table, key=lambda line: (-area(line), line["slice"])):
        if all(line[name] for name in classes):
            largest.setdefault(line["case"], line)
    if not largest:
        return []
    median = np.median([area(line) for line in largest.values()])
    large = [line for line in largest.values() if area(line) >= median]
    first = classes[0]
    large.sort(key=lambda line: (line[first] / area(line) if len(classes) > 1 else area(line), line["slice"]))
    ranks = np.linspace(0, len(large) - 1, wanted) if wanted > 1 else [(len(large) - 1) / 2]
    return [large[k] for k in dict.fromkeys(int(rank) for rank in ranks)]
