"""A table in Markdown and LaTeX; ``page`` has it in HTML."""

from __future__ import annotations

import math

from covidseg.base import text
from covidseg.tables.cell import NOT_RUN, Cell

PANEL = (
    "The same predictions under the standard protocol, mean over slices; a slice that was missed, or marked where "
    "nothing is, lends HD95 the image's diagonal"
)


def number(value: float | None, digits: int) -> str:
    """Return a number as a table shows it; a dash where there is none."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    shown = f"{value:.{digits}f}"
    return shown.removeprefix("-") if float(shown) == 0 else shown


def grid(cells: list[Cell]) -> tuple[list[str], list[list[str]]]:
    """Return (headings, lines) of a table: per column the printed value, ours with its spread, the difference.

    Where rows score different classes, a column says which; rows of one label then show it once.
    """
    columns = list(dict.fromkeys(cell.column for cell in cells))
    rows: dict[tuple[str, str], dict[str, Cell]] = {}
    for cell in cells:
        rows.setdefault((cell.row, cell.cls), {})[cell.column] = cell
    printed = any(cell.printed is not None for cell in cells)
    judged = printed or any(cell.verdict not in ("", NOT_RUN) for cell in cells)
    by_class = len({cell.cls for cell in cells} - {""}) > 1
    headings = ["", "class"] if by_class else [""]
    for column in columns:
        headings += [f"{column} printed", f"{column} ours", "difference"] if printed else [column]
    lines = []
    above = None
    for (label, cls), found in rows.items():
        line = ["" if label == above else label, cls] if by_class else [label]
        above = label
        for column in columns:
            cell = found[column]
            ours = number(cell.ours, cell.digits) + (
                f" ± {number(cell.sd, cell.digits)}" if cell.sd is not None else cell.quartiles
            )
            if cell.verdict == NOT_RUN:
                ours = NOT_RUN
            difference = number(cell.difference, cell.digits)
            by_paper = number(cell.printed, cell.digits)
            if cell.printed_sd is not None:
                by_paper += f" ± {number(cell.printed_sd, cell.digits)}"
            line += [by_paper, ours, difference] if printed else [ours]
        verdicts = [c.verdict for c in found.values() if c.verdict]
        if judged:
            line.append(_together(verdicts, found))
        lines.append(line)
    if judged:
        headings.append("verdict")
    return headings, lines


def _together(verdicts: list[str], found: dict[str, Cell]) -> str:
    kinds = dict.fromkeys(verdicts)
    if len(kinds) == 1:
        return next(iter(kinds))
    return "; ".join(f"{c.column} {c.verdict}" for c in found.values() if c.verdict)


def _words(headings: list[str]) -> int:
    """Return how many columns in front hold words: the label, and the class where there is one."""
    return 2 if headings[1:2] == ["class"] else 1


def _markdown_grid(cells: list[Cell]) -> str:
    headings, lines = grid(cells)
    words = _words(headings)
    rule = ["---"] * words + ["---:"] * (len(headings) - words)
    head, *body = [[text.markdown(value) for value in line] for line in [headings, *lines]]
    return "\n".join("| " + " | ".join(line) + " |" for line in [head, rule, *body])


def markdown(caption: str, main: list[Cell], panel: list[Cell]) -> str:
    """Return the table in Markdown, the standard protocol's panel below it."""
    out = f"{_markdown_grid(main)}\n\n{text.markdown(caption)}\n"
    if panel:
        out += f"\n{PANEL}:\n\n{_markdown_grid(panel)}\n"
    return out


def latex(caption: str, label: str, main: list[Cell]) -> str:
    """Return the table as a LaTeX table environment (packages booktabs and graphicx), shrunk to the line's width."""
    headings, lines = grid(main)
    words = _words(headings)
    body = " \\\\\n".join(" & ".join(text.latex(value) for value in line) for line in lines)
    return (
        "\\begin{table}\n\\centering\n"
        f"\\caption{{{text.latex(caption)}}}\n\\label{{tab:{label}}}\n"
        "\\resizebox{\\ifdim\\width>\\linewidth\\linewidth\\else\\width\\fi}{!}{%\n"
        f"\\begin{{tabular}}{{{'l' * words}{'r' * (len(headings) - words)}}}\n\\toprule\n"
        f"{' & '.join(text.latex(h) for h in headings)} \\\\\n\\midrule\n{body} \\\\\n"
        "\\bottomrule\n\\end{tabular}}\n\\end{table}\n"
    )
