"""A page of panels: slices by rows, masks by columns, at the width of a printed page.

Everything but the CT is vector. A class keeps its colour in every figure; hatching and outline tell the classes apart
without colour.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec

import numpy as np
import numpy.typing as npt

from covidseg.base.errors import UserError
from covidseg.base.files import replacing
from covidseg.base.text import MATPLOTLIB, legend

if TYPE_CHECKING:
    from covidseg.plan import Plan

CT, TRUTH = "CT", "Ground truth"
Style = tuple[tuple[float, float, float], str]  # colour, hatch
STYLES: dict[str, Style] = {"ggo": ((0.85, 0.05, 0.10), ""), "consolidation": ((0.10, 0.80, 0.25), "/" * 8)}
OTHERS: tuple[Style, ...] = (((0.15, 0.45, 1.00), ""), ((0.75, 0.30, 0.85), "\\" * 7), ((0.95, 0.75, 0.10), "." * 5))
TITLES = {"ggo": "ground-glass opacity (GGO)"}
FILL = 0.35  # opacity
BOX = "#ff8c00"

# Inches and points.
PAGE = 7.2
PANEL = (0.85, 1.7)  # least and greatest width
ASPECT = (0.75, 1.35)  # least and greatest height over width
GAP = 0.06
BARS = 0.95
BAR = 0.105
SPACE = 0.4  # between methods, of a bar
LINE = 0.135
TITLE, TEXT = 8, 7
LOOK: dict[Any, Any] = MATPLOTLIB | {"pdf.fonttype": 42, "hatch.linewidth": 0.5}  # 42: letters stay letters

P = ParamSpec("P")
Mask = npt.NDArray[np.bool_]
Masks = Sequence[tuple[str, Mask]]  # class, mask
Box = tuple[int, int, int, int]  # top, left, bottom, right


class NothingToShowError(UserError):
    """A figure has no slice or score to show: its place says so, and the report comes nevertheless."""


@dataclass(frozen=True)
class Panel:
    """A slice's masks by one method, and what to say of them."""

    masks: Masks
    note: str = ""
    heat: npt.NDArray[np.uint8] | None = None  # a map (h, w) of the slice, shown in place of CT and masks
    grey: bool = False  # the map is a picture


@dataclass(frozen=True)
class Row:
    """One slice: CT (H, W), column heading -> panel, a box for all panels but the CT, and the label of its group."""

    slice: str
    image: npt.NDArray[np.uint8]
    panels: dict[str, Panel]
    box: Box | None = None
    group: str = ""


class _Sheet:
    """A matplotlib figure measured in inches from its top left corner."""

    def __init__(self, width: float, height: float) -> None:
        from matplotlib.figure import Figure

        self.width, self.height = width, height
        self.drawing: Any = Figure(figsize=(width, height))

    def text(self, x: float, y: float, words: str, **options: Any) -> None:
        """Write a text whose upper edge, or what ``va`` says, is at (x, y), centred."""
        look: dict[str, Any] = {"fontsize": TEXT, "ha": "center", "va": "top"} | options
        self.drawing.text(x / self.width, 1 - y / self.height, words, **look)

    def axes(self, x: float, y: float, width: float, height: float) -> Any:
        """Return axes whose upper left corner is at (x, y)."""
        box = (x / self.width, 1 - (y + height) / self.height, width / self.width, height / self.height)
        return self.drawing.add_axes(box)


def in_our_look(function: Callable[P, Any]) -> Callable[P, Any]:
    """Let a function draw in LOOK, and not as the user's own matplotlibrc has it."""

    @functools.wraps(function)
    def drawn(*args: P.args, **kwargs: P.kwargs) -> Any:
        from matplotlib import style

        with style.context(["default", LOOK]):
            return function(*args, **kwargs)

    return drawn


def note(plan: Plan) -> str:
    """Return what stands below a drawing: nothing, but of phantoms that they are."""
    return "Phantom CT, not patients." if plan.config.mode == "demo" else ""


@in_our_look
def draw(rows: list[Row], shares: bool, note: str = "") -> Any:
    """Return the matplotlib figure: CT and panels by columns, with ``shares`` bars of each class's share last."""
    methods = list(dict.fromkeys(heading for row in rows for heading in row.panels if heading != TRUTH))
    headings = methods + [TRUTH] * any(TRUTH in row.panels for row in rows)
    styles = styles_of(name for row in rows for panel in row.panels.values() for name, _ in panel.masks)
    beside = {heading: wrap(heading, 0.8, TEXT) if len(headings) > 1 else "" for heading in headings}
    indent = 2 * GAP + 0.08 + max(_width(line, TEXT) for name in beside.values() for line in name.split("\n"))
    bars = indent + BARS if shares else 0

    # Across: group labels, CT and panels, bars.
    left = 0.22 if any(row.group for row in rows) else 0.02
    width = float(np.clip((PAGE - left - bars) / (1 + len(headings)) - GAP, *PANEL))
    starts = [left + k * (width + GAP) for k in range(1 + len(headings))]
    # Down: column headings, rows with what is said below them, legend.
    titles = [wrap(heading, width, TITLE) for heading in (CT, *headings)]
    notes = [[wrap(words, width, TEXT) for words in _notes(row, headings)] for row in rows]
    heights = [width * float(np.clip(row.image.shape[0] / row.image.shape[1], *ASPECT)) for row in rows]
    bars_high = [BAR * sum(len(panel.masks) + SPACE for panel in row.panels.values()) * shares for row in rows]
    steps = [
        0.1 + max(high + LINE * max(map(_lines, words)), bar_high + LINE * shares)
        for high, bar_high, words in zip(heights, bars_high, notes, strict=True)
    ]
    top, foot = 0.06 + 1.1 * LINE * max(map(_lines, titles)), 0.3 + 0.16 * bool(note)

    sheet = _Sheet(starts[-1] + width + GAP + bars, top + sum(steps) + foot)
    for x, title in zip(starts, titles, strict=True):
        sheet.text(x + width / 2, top - 0.04, title, fontsize=TITLE, va="bottom")
    bars_at = starts[-1] + width + indent
    if shares:
        sheet.text(bars_at + BARS / 2, top - 0.04, "Class shares", fontsize=TITLE, va="bottom")
    shares_of = [share(mask) for row in rows for panel in row.panels.values() for _, mask in panel.masks]
    longest = max(shares_of, default=0.0)
    y = top
    for row, high, bar_high, words, step in zip(rows, heights, bars_high, notes, steps, strict=True):
        for x, heading, said in zip(starts, (CT, *headings), words, strict=True):
            _show(sheet.axes(x, y, width, high), row, heading, styles)
            sheet.text(x + width / 2, y + high + 0.03, said)
        if shares:
            shown = {beside[heading]: row.panels[heading].masks for heading in headings if heading in row.panels}
            _bars(sheet.axes(bars_at, y, BARS, bar_high), shown, styles, longest or 1.0)
            sheet.text(bars_at + BARS / 2, y + bar_high + 0.03, "% of the slice")
        y += step
    _groups(sheet, rows, steps, top)
    _legend(sheet, rows, styles, y + 0.06)
    sheet.text(sheet.width / 2, sheet.height - 0.17, note, style="italic")
    return sheet.drawing


@in_our_look
def blank(words: str) -> Any:
    """Return a drawing that says why there is nothing to show."""
    sheet = _Sheet(PAGE * 0.7, 1.2)
    text = wrap(words, sheet.width - 0.4, TITLE)
    sheet.text(sheet.width / 2, sheet.height / 2, f"Nothing to show\n{text}", fontsize=TITLE, va="center")
    return sheet.drawing


@in_our_look
def save(drawing: Any, path: Path) -> None:
    """Write a figure as PNG or PDF, by the path's suffix: fonts embedded, no date, the same bytes each time."""
    pdf = path.suffix == ".pdf"
    for axis in drawing.axes:
        for image in axis.images:
            image.set_interpolation("none" if pdf else "antialiased")  # PDF: the slice's own pixels
    options: dict[str, Any] = {"metadata": {"CreationDate": None}} if pdf else {"dpi": 200}
    with replacing(path) as temporary:
        drawing.savefig(temporary, format=path.suffix[1:], **options)


def share(mask: Mask) -> float:
    """Return the share of a slice's pixels that a mask holds, in percent."""
    return 100 * float(mask.mean())


def percent(value: float) -> str:
    """Return a share in percent with two digits that count, as ``15.4``, ``0.12`` and ``0``."""
    return f"{value:.{1 if value >= 1 else 2}f}" if value else "0"


def wrap(text: str, inches: float, points: float) -> str:
    """Break a text into lines no wider than ``inches``, at blanks and after ``_``, ``+``, ``/`` and ``-``."""
    lines = [""]
    for part in re.findall(r"[^\s_+/-]+[\s_+/-]*|[\s_+/-]+", text):
        if lines[-1] and _width((lines[-1] + part).rstrip(), points) > inches:
            lines.append("")
        lines[-1] += part
    return "\n".join(line.rstrip() for line in lines)


def _width(text: str, points: float) -> float:
    """Return the width of a line of text in inches."""
    from matplotlib.textpath import TextPath

    return float(TextPath((0, 0), text, size=points).get_extents().width) / 72 if text else 0.0


def _lines(text: str) -> int:
    return text.count("\n") + 1 if text else 0


def _notes(row: Row, headings: list[str]) -> list[str]:
    """Return what stands below a row's CT and panels."""
    return [row.slice, *(row.panels[heading].note if heading in row.panels else "" for heading in headings)]


def styles_of(classes: Iterable[str]) -> dict[str, Style]:
    """Return class -> colour and hatch, in the order of the classes."""
    names = list(dict.fromkeys(classes))
    others = [name for name in names if name not in STYLES]
    return {name: STYLES.get(name) or OTHERS[others.index(name) % len(OTHERS)] for name in names}


def _patch(style: Style) -> dict[str, Any]:
    """Return how an area of a class is painted."""
    colour, hatch = style
    return {"facecolor": (*colour, FILL), "edgecolor": colour, "hatch": hatch, "linewidth": 0.6}


def outline(mask: Mask) -> Any:
    """Return the area of a mask as a matplotlib path, in pixels: through the middle between pixels in and out."""
    from contourpy import FillType, contour_generator
    from matplotlib.path import Path as Outline

    padded = np.pad(mask, 1).astype(np.float64)
    filled: Any = contour_generator(z=padded, fill_type=FillType.OuterCode).filled(0.5, 2)
    areas, codes = filled
    if not areas:
        return None
    return Outline(np.concatenate(areas) - 1, np.concatenate(codes))


def _show(axis: Any, row: Row, heading: str, styles: dict[str, Style]) -> None:
    from matplotlib.patches import PathPatch, Rectangle

    axis.set_axis_off()
    if heading != CT and heading not in row.panels:
        axis.text(0.5, 0.5, "not run", transform=axis.transAxes, ha="center", va="center", fontsize=TEXT, color="0.4")
        return
    if heading != CT and (heat := row.panels[heading].heat) is not None:
        height, width = row.image.shape
        look = "gray" if row.panels[heading].grey else "magma"
        axis.imshow(heat, cmap=look, vmin=0, vmax=255, extent=(-0.5, width - 0.5, height - 0.5, -0.5))
        return
    axis.imshow(row.image, cmap="gray", vmin=0, vmax=255)
    if heading == CT:
        return
    for name, mask in row.panels[heading].masks:
        if (area := outline(mask)) is not None:
            axis.add_patch(PathPatch(area, **_patch(styles[name])))
    if row.box:
        (top, left, bottom, right), (height, width) = row.box, row.image.shape
        margin = 0.04 * width
        left, top = max(left - margin, 0) - 0.5, max(top - margin, 0) - 0.5
        right, bottom = min(right + margin, width) - 0.5, min(bottom + margin, height) - 0.5
        axis.add_patch(Rectangle((left, top), right - left, bottom - top, fill=False, edgecolor=BOX, linewidth=1.1))


def _bars(axis: Any, shown: dict[str, Masks], styles: dict[str, Style], longest: float) -> None:
    """Draw a bar per method and class from top to bottom, each with its share in percent beside it."""
    y, ticks = 0.0, []
    for masks in shown.values():
        ticks.append(y + (len(masks) - 1) / 2)
        for name, mask in masks:
            value = share(mask)
            axis.barh(y, value, height=0.9, **_patch(styles[name]))
            axis.text(value + 0.04 * longest, y, percent(value), va="center", fontsize=TEXT)
            y += 1
        y += SPACE
    axis.set_yticks(ticks, list(shown), fontsize=TEXT)
    axis.set_xticks([])
    axis.tick_params(length=0, pad=2)
    axis.set_xlim(0, 1.45 * longest)
    axis.set_ylim(y - 0.5 - SPACE / 2, -0.5 - SPACE / 2)
    axis.spines[["top", "right", "bottom"]].set_visible(False)


def _groups(sheet: _Sheet, rows: list[Row], steps: list[float], top: float) -> None:
    """Write each group's label beside its rows."""
    y = top
    for k, (row, step) in enumerate(zip(rows, steps, strict=True)):
        if k == 0 or rows[k - 1].group != row.group:
            tall = sum(s for other, s in zip(rows[k:], steps[k:], strict=True) if other.group == row.group) - 0.3
            label = wrap(row.group, tall, TITLE)
            sheet.text(0.1, y + tall / 2, label, fontsize=TITLE, weight="bold", rotation=90, va="center")
        y += step


def _legend(sheet: _Sheet, rows: list[Row], styles: dict[str, Style], y: float) -> None:
    from matplotlib.patches import Patch

    seen = {name for row in rows for panel in row.panels.values() for name, mask in panel.masks if mask.any()}
    handles = {TITLES.get(name, name): Patch(**_patch(style)) for name, style in styles.items() if name in seen}
    if any(row.box for row in rows):
        handles["largest disagreement of the methods"] = Patch(fill=False, edgecolor=BOX, linewidth=1.1)
    legend(
        sheet.drawing,
        handles,
        loc="upper center",
        bbox_to_anchor=(0.5, 1 - y / sheet.height),
        ncols=len(handles),
        fontsize=TEXT,
        frameon=False,
        borderpad=0,
        borderaxespad=0,
        handlelength=2.2,
        handleheight=1.1,
        columnspacing=1.6,
    )
