"""Charts as SVG inside the page: plain elements in the page's colours, so that they follow light, dark and print.

Equal data give equal text. Classes: ``s0`` to ``s7`` are series, ``axis``, ``grid``, ``zero``, ``printed``; see
style.css.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from covidseg.base.text import html as escape

Points = Sequence[tuple[float, float]]
SERIES = 8  # colours
MOST = 160  # points of a line: more are not told apart at a panel's width
Series = Sequence[tuple[int, Points]]
LETTER = 6.2  # width of a letter of labels, px
ROW = 20  # height of a line of a forest plot, px


@dataclass
class Panel:
    """One pair of axes. ``lines``, ``dots`` and ``bars``: (series, points); a bar is drawn from zero."""

    title: str
    xlabel: str = ""
    ylabel: str = ""
    lines: Series = ()
    dots: Series = ()
    bars: Series = ()
    levels: Sequence[tuple[str, float]] = ()  # css class, y: a line across
    whole: bool = False  # only whole numbers along x

    def svg(self, width: int = 300, height: int = 170) -> str:
        """Return the panel as an ``<svg>`` element."""
        xs = [x for _, points in (*self.lines, *self.dots, *self.bars) for x, _ in points]
        ys = [y for _, points in (*self.lines, *self.dots, *self.bars) for _, y in points]
        ys += [y for _, y in self.levels] + ([0.0] if self.bars else [])
        if not xs:
            return ""
        x_ticks, y_ticks = ticks(min(xs), max(xs), 5, self.whole), ticks(min(ys), max(ys), 4)
        left = 12 + LETTER * max(len(text(y, y_ticks)) for y in y_ticks)
        top, right, bottom = 20, 10, 34 if self.xlabel else 20
        room = 0.6 if self.bars else 0.0
        low_x, high_x = min(x_ticks[0], min(xs)) - room, max(x_ticks[-1], max(xs)) + room
        low_y, high_y = min(y_ticks[0], min(ys)), max(y_ticks[-1], max(ys))

        def x(value: float) -> str:
            return short(left + (value - low_x) / ((high_x - low_x) or 1) * (width - left - right))

        def y(value: float) -> str:
            return short(height - bottom - (value - low_y) / ((high_y - low_y) or 1) * (height - top - bottom))

        out = [f'<text x="{short(left)}" y="12" class="title">{escape(self.title)}</text>']
        for value in y_ticks:
            out.append(f'<line class="grid" x1="{short(left)}" x2="{width - right}" y1="{y(value)}" y2="{y(value)}"/>')
            label = text(value, y_ticks)
            out.append(f'<text x="{short(left - 4)}" y="{y(value)}" dy="3.5" text-anchor="end">{label}</text>')
        for value in x_ticks:
            at = f'x="{x(value)}" y="{height - bottom + 13}"'
            out.append(f'<text {at} text-anchor="middle">{text(value, x_ticks)}</text>')
        if self.xlabel:
            middle = short((left + width - right) / 2)
            out.append(f'<text x="{middle}" y="{height - 5}" text-anchor="middle">{escape(self.xlabel)}</text>')
        for name, value in self.levels:
            out.append(
                f'<line class="{name}" x1="{short(left)}" x2="{width - right}" y1="{y(value)}" y2="{y(value)}"/>'
            )
        for series, points in self.bars:
            for px, py in points:
                out.append(f'<line class="bar s{series % SERIES}" x1="{x(px)}" x2="{x(px)}" y1="{y(0)}" y2="{y(py)}"/>')
        for series, points in self.lines:
            pairs = " ".join(f"{x(px)},{y(py)}" for px, py in thinned(points))
            out.append(f'<polyline class="s{series % SERIES}" points="{pairs}"/>')
            if len(points) == 1:
                out.append(
                    f'<circle class="s{series % SERIES}" cx="{x(points[0][0])}" cy="{y(points[0][1])}" r="2.5"/>'
                )
        for series, points in self.dots:
            out += [f'<circle class="s{series % SERIES}" cx="{x(px)}" cy="{y(py)}" r="3"/>' for px, py in points]
        return element(width, height, out, f"{self.title} by {self.xlabel or 'x'}")


@dataclass(frozen=True)
class Mark:
    """A line of a forest plot: ours with its interval, and the printed value; None where there is none."""

    label: str
    value: float | None
    low: float | None
    high: float | None
    printed: float | None
    link: str = ""
    sign: str = ""


def forest(marks: Sequence[Mark], label: str, zero: bool = False, width: int = 760) -> str:
    """Return a chart with a line per mark: a bar for the interval, a dot for ours, a diamond for the printed value.

    ``zero``: a line at zero, as of differences. Empty where no mark has a value.
    """
    known = [v for m in marks for v in (m.value, m.low, m.high, m.printed) if v is not None and math.isfinite(v)]
    if not known:
        return ""
    along = ticks(min([*known, 0.0] if zero else known), max([*known, 0.0] if zero else known), 6)
    left = min(16 + LETTER * max(len(m.label) + 2 for m in marks), width * 0.5)
    letters = int((left - 16) / LETTER)
    right, top, height = 14, 6, ROW * len(marks) + 44
    low, high = min(along[0], *known), max(along[-1], *known)

    def x(value: float) -> str:
        return short(left + (value - low) / ((high - low) or 1) * (width - left - right))

    end, out = top + ROW * len(marks), []
    for value in along:
        name = "zero" if zero and value == 0 else "grid"
        out.append(f'<line class="{name}" x1="{x(value)}" x2="{x(value)}" y1="{top}" y2="{end}"/>')
        out.append(f'<text x="{x(value)}" y="{end + 14}" text-anchor="middle">{text(value, along)}</text>')
    out.append(
        f'<text x="{short((left + width - right) / 2)}" y="{end + 30}" text-anchor="middle">{escape(label)}</text>'
    )
    for k, mark in enumerate(marks):
        y = top + ROW * k + ROW // 2
        cut = mark.label if len(mark.label) <= letters else mark.label[: letters - 1] + "…"
        whole = f"<title>{escape(mark.label)}</title>" if cut != mark.label else ""
        words = f'<text x="{short(left - 8)}" y="{y}" dy="4" text-anchor="end">{escape(cut)} {mark.sign}{whole}</text>'
        out.append(f'<a href="{escape(mark.link)}">{words}</a>' if mark.link else words)
        if mark.low is not None and mark.high is not None:
            out.append(f'<line class="interval" x1="{x(mark.low)}" x2="{x(mark.high)}" y1="{y}" y2="{y}"/>')
        if mark.value is not None:
            out.append(f'<circle class="ours" cx="{x(mark.value)}" cy="{y}" r="4"/>')
        if mark.printed is not None:
            out.append(f'<path class="printed" transform="translate({x(mark.printed)} {y})" d="M-5 0L0 -5L5 0L0 5Z"/>')
    return element(width, height, out, label)


def element(width: int, height: int, parts: Sequence[str], label: str) -> str:
    """Return an ``<svg>`` element of these parts, which shrinks with the page."""
    head = f'<svg class="chart" width="{width}" height="{height}" viewBox="0 0 {width} {height}"'
    role = "group" if any(part.startswith("<a ") for part in parts) else "img"  # an image would hide its links
    return f'{head} role="{role}" aria-label="{escape(label)}">{"".join(parts)}</svg>'


def thinned(points: Points) -> Points:
    """Return at most MOST of the points, the first and the last among them."""
    if len(points) <= MOST:
        return points
    step = (len(points) - 1) / (MOST - 1)
    return [points[round(k * step)] for k in range(MOST)]


def ticks(low: float, high: float, wanted: int, whole: bool = False) -> list[float]:
    """Return round numbers between ``low`` and ``high`` or just beyond, about as many as wanted.

    Steps are 1, 2 or 5 times a power of ten; ``whole``: at least 1.
    """
    if low == high:
        low, high = (low, high + 1) if whole else (low - (abs(low) or 1) / 10, high + (abs(high) or 1) / 10)
    raw = (high - low) / wanted
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(f * power for f in (1, 2, 5, 10) if f * power >= raw * (1 - 1e-9))
    step = max(step, 1.0) if whole else step
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [float(f"{k * step:.10g}") for k in range(first, last + 1)]


def text(value: float, along: Sequence[float]) -> str:
    """Return a tick's label, with the decimals that its neighbours need."""
    step = along[1] - along[0] if len(along) > 1 else 1.0
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    if max(map(abs, along)) >= 1e5 or digits > 5:
        return f"{value:.1e}"
    return f"{value:.{digits}f}"


def short(value: float) -> str:
    """Return a coordinate with one decimal at most."""
    return f"{value:.1f}".removesuffix(".0")
