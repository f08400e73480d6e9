"""Findings in Markdown and HTML, each with its interval drawn."""

from __future__ import annotations

from covidseg.base.text import markdown as markdown_of
from covidseg.claims.finding import Finding
from covidseg.templates import render

HEADINGS = ["claim", "metric", "printed", "ours", "95 % interval", "p", "cases", "slices", "verdict"]
WIDTH, HEIGHT = 180, 18


def signed(value: float | None, digits: int) -> str:
    """Return a difference with its sign; a dash where there is none."""
    if value is None:
        return "–"
    text = f"{value:+.{digits}f}"
    return text[1:] if float(text) == 0 else text


def interval(finding: Finding) -> str:
    """Return the interval as ``[-0.0100, +0.0300]``; a dash where the claim was not tested."""
    if finding.gain is None:
        return "–"
    return f"[{signed(finding.low, finding.digits)}, {signed(finding.high, finding.digits)}]"


def p_value(value: float | None) -> str:
    """Return p with three decimals; below those, ``< 0.001``."""
    return "–" if value is None else "< 0.001" if value < 0.001 else f"{value:.3f}"


def line(finding: Finding) -> list[str]:
    """Return the values between a claim's sentence and its verdict, in the order of HEADINGS."""
    return [
        finding.column,
        signed(finding.printed, finding.digits),
        signed(finding.gain, finding.digits),
        interval(finding),
        p_value(finding.p),
        str(finding.cases or "–"),
        str(finding.slices or "–"),
    ]


def markdown(caption: str, found: list[Finding]) -> str:
    """Return the claims in Markdown."""
    rows = [HEADINGS, ["---", "---", *["---:"] * 6, "---"]]
    for f in found:
        notes = "; ".join(note for note in (f.why, f.caveats) if note)
        said, values = markdown_of(f"{f.says} ({f.where}; {f.runs})"), map(markdown_of, line(f))
        rows.append([said, *values, f"**{f.verdict}**" + markdown_of(f": {notes}" if notes else "")])
    return "\n".join("| " + " | ".join(row) + " |" for row in rows) + f"\n\n{markdown_of(caption)}\n"


def html(caption: str, found: list[Finding]) -> str:
    """Return the claims as an HTML page that also stands inside the report."""
    scales: dict[str, float] = {}
    for f in found:
        reach = max(abs(v) for v in (f.low, f.high, f.printed, 0.0) if v is not None)
        scales[f.metric] = max(reach, scales.get(f.metric, 0.0))
    rows = [(f, line(f), plot(f, scales[f.metric])) for f in found]
    return render("claims.html.j2", caption=caption, headings=HEADINGS, rows=rows)


def plot(finding: Finding, scale: float) -> str:
    """Return an SVG: the interval as a bar, our mean as a dot, the printed difference as a diamond, zero as a line."""
    middle = HEIGHT / 2

    def x(value: float) -> float:
        return round(WIDTH / 2 + value / (scale or 1) * (WIDTH / 2 - 8), 1)

    parts = [f'<line x1="{x(0)}" x2="{x(0)}" y1="0" y2="{HEIGHT}" stroke="#8a99a8"/>']
    if finding.gain is not None and finding.low is not None and finding.high is not None:
        ends = f'x1="{x(finding.low)}" x2="{x(finding.high)}" y1="{middle}" y2="{middle}"'
        parts.append(f'<line {ends} stroke="#1f5fbf" stroke-width="3" stroke-opacity=".5"/>')
        parts.append(f'<circle cx="{x(finding.gain)}" cy="{middle}" r="4" fill="#1f5fbf"/>')
    if finding.printed is not None:
        at = x(finding.printed)
        diamond = f"M{at - 5} {middle}L{at} {middle - 5}L{at + 5} {middle}L{at} {middle + 5}Z"
        parts.append(f'<path d="{diamond}" fill="none" stroke="#d9822b" stroke-width="1.5"/>')
    words = f"ours {signed(finding.gain, finding.digits)} {interval(finding)}"
    return f'<svg width="{WIDTH}" height="{HEIGHT}" role="img" aria-label="{words}">{"".join(parts)}</svg>'
