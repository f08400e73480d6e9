"""Qualitative figures: one slice a row; CT, each method's mask and the truth by columns.

Slices are chosen by a rule, not by hand: of the fold's test slices whose lesion is at least as large as the median
one, those on which the methods' Dice differs most, one per case. The box marks the largest region where the methods
disagree.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from covidseg.data.canonical import Store
from covidseg.errors import UserError
from covidseg.files import replacing
from covidseg.plan import Plan, Run, qualified
from covidseg.predictions import test_slices

if TYPE_CHECKING:
    from covidseg.score import Slice

COLOURS = {"ggo": (0.90, 0.10, 0.10), "consolidation": (0.10, 0.75, 0.20)}
SINGLE = (0.15, 0.45, 1.00)
BOX = "#ff8c00"
MARGIN = 0.04  # of the slice's width, round a box

Mask = npt.NDArray[np.bool_]


def write(plan: Plan, paper: str, name: str) -> None:
    """Draw one figure of a paper as PNG and PDF. Raises UserError when no slice qualifies."""
    figure = plan.papers[paper].figures[name]
    runs = {heading: plan.run(qualified(paper, run)) for heading, run in figure.runs.items()}
    fold = plan.figure_fold(paper, name)
    slices = {heading: _by_slice(plan, run, fold) for heading, run in runs.items()}
    drawing = draw(plan, next(iter(runs.values())), slices, choose(slices, figure.slices))
    for suffix, options in (("png", {"dpi": 160}), ("pdf", {"metadata": {"CreationDate": None}})):
        with replacing(plan.paths.figure(paper, name, suffix)) as temporary:
            drawing.savefig(temporary, format=suffix, bbox_inches="tight", **options)


def _by_slice(plan: Plan, run: Run, fold: int) -> dict[str, list[Slice]]:
    """Return slice id -> the run's prediction and truth per class."""
    found: dict[str, list[Slice]] = {}
    for slice_ in test_slices(plan, run, fold, run.seeds[0]):
        found.setdefault(slice_.slice, []).append(slice_)
    return found


def choose(methods: dict[str, dict[str, list[Slice]]], wanted: int) -> list[str]:
    """Return the ids of the slices to show, by the rule in the module's docstring."""
    first = next(iter(methods.values()))
    area = {name: sum(int(s.truth.sum()) for s in parts) for name, parts in first.items()}
    lesions = [a for a in area.values() if a]
    if not lesions:
        raise UserError("no test slice shows a lesion; nothing to draw")
    large = [name for name, a in area.items() if a >= float(np.median(lesions))]

    def spread(name: str) -> float:
        scores = [np.mean([_dice(s) for s in found[name]]) for found in methods.values()]
        return float(max(scores) - min(scores))

    chosen: dict[str, str] = {}  # one per case
    for name in sorted(large, key=lambda n: (-spread(n), n)):
        chosen.setdefault(first[name][0].case, name)
    return list(chosen.values())[:wanted]


def _dice(slice_: Slice) -> float:
    mask = slice_.predicted()
    both = int(mask.sum()) + int(slice_.truth.sum())
    return 2 * int((mask & slice_.truth).sum()) / both if both else 1.0


def disagreement(masks: list[Mask]) -> tuple[int, int, int, int] | None:
    """Return (top, left, bottom, right) of the largest connected region where the masks are not all equal."""
    from scipy import ndimage

    differ = np.any([mask != masks[0] for mask in masks[1:]], axis=0)
    labels, n = ndimage.label(differ)
    if not n:
        return None
    largest = 1 + int(np.argmax(np.bincount(labels.ravel())[1:]))
    rows, columns = ndimage.find_objects(labels)[largest - 1]
    return rows.start, columns.start, rows.stop, columns.stop


def draw(plan: Plan, run: Run, methods: dict[str, dict[str, list[Slice]]], chosen: list[str]) -> Any:
    """Return the matplotlib figure."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    headings = ["CT", *methods, "Ground truth"]
    drawing, axes = pyplot.subplots(
        len(chosen),
        len(headings),
        figsize=(2.3 * len(headings), 2.45 * len(chosen)),
        squeeze=False,
        layout="constrained",
    )
    for axis, heading in zip(axes[0], headings, strict=True):
        axis.set_title(heading, fontsize=10)
    for row, name in zip(axes, chosen, strict=True):
        image = ct(plan, run, name)
        parts = {heading: [(s.cls, s.predicted()) for s in found[name]] for heading, found in methods.items()}
        truth = [(s.cls, s.truth) for s in next(iter(methods.values()))[name]]
        panels: list[list[tuple[str, Mask]]] = [[], *parts.values(), truth]
        box = disagreement([np.any([mask for _, mask in masks], axis=0) for masks in parts.values()])
        for axis, heading, masks in zip(row, headings, panels, strict=True):
            axis.imshow(overlay(image, masks), interpolation="nearest")
            axis.set_xticks([])
            axis.set_yticks([])
            if heading in methods:
                score = np.mean([_dice(s) for s in methods[heading][name]])
                axis.set_xlabel(f"Dice {score:.2f}", fontsize=8)
            if box and heading != "CT":
                axis.add_patch(_rectangle(pyplot, box, MARGIN * image.shape[1]))
        row[0].set_ylabel(name, fontsize=8)
    return drawing


def _rectangle(pyplot: Any, box: tuple[int, int, int, int], margin: float) -> Any:
    top, left, bottom, right = box
    return pyplot.Rectangle(
        (left - 0.5 - margin, top - 0.5 - margin),
        right - left + 2 * margin,
        bottom - top + 2 * margin,
        fill=False,
        edgecolor=BOX,
        linewidth=1.4,
    )


def ct(plan: Plan, run: Run, slice_id: str) -> npt.NDArray[np.uint8]:
    """Return a slice's CT in the window that its tensors show, uint8 (H, W)."""
    from covidseg.data.canonical import read_table
    from covidseg.data.tensors import Window

    table = read_table(plan.paths.tensors(run.spec.dataset, run.spec.input.size) / "slices.csv")
    line = next(row for row in table if row["slice"] == slice_id)
    with Store(plan.paths.canonical(run.spec.dataset)) as store:
        image = store.image(line["case"])[line["position"]]
    return Window(line["top"], line["left"], line["height"], line["width"]).cut(image)


def overlay(image: npt.NDArray[np.uint8], masks: list[tuple[str, Mask]], strength: float = 0.55) -> npt.NDArray[Any]:
    """Return RGB (H, W, 3) in 0..1: the slice in grey, each class's mask in its colour."""
    rgb = np.repeat(image[..., None] / 255.0, 3, axis=-1)
    for name, mask in masks:
        colour = np.array(COLOURS.get(name, SINGLE))
        rgb[mask] = (1 - strength) * rgb[mask] + strength * colour
    return rgb
