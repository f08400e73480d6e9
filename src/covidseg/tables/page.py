"""A table in HTML, which also stands inside the report: a cell holds ours, the printed value, the difference and a sign
of the verdict; what a script needs to sort, to switch and to explain a number stands in data attributes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from covidseg.tables.cell import GROUPS, NOT_RUN, NOTHING, SIGNS, Cell
from covidseg.tables.layout import PANEL, number


@dataclass
class Shown:
    """A cell as text. ``why`` is the number of its reason below the table, 0 for none; ``id`` is for links."""

    cell: Cell
    ours: str
    spread: str
    printed: str
    difference: str
    group: str
    why: int = 0
    id: str = ""

    @property
    def sign(self) -> str:
        """Return a letter for the verdict, so that colour is not its only sign."""
        return SIGNS[self.group]

    @property
    def kind(self) -> str:
        """Return the group as a CSS class."""
        return "v-" + self.group.replace(" ", "-")


@dataclass
class Grid:
    """A table: columns, and per line its label, its class ("" where no column says it), run, cells, a row's verdict."""

    id: str
    title: str
    protocol: str
    columns: list[tuple[str, str]]  # heading, metric
    by_class: bool
    worded: bool  # verdicts are words of the table's own, and have a column
    printed: bool
    lines: list[tuple[str, str, str, list[Shown | None], str]] = field(default_factory=list)


def html(name: str, said: list[str], main: list[Cell], panel: list[Cell]) -> str:
    """Return the page of a table: its cells, those of the standard protocol, and the parts of its caption."""
    from covidseg.templates import render

    whys: dict[str, int] = {}
    grids = [grid(f"table-{slug(name)}", "", main, whys)]
    if panel:
        grids.append(grid(f"table-{slug(name)}-standard", PANEL, panel, whys))
    return render("table.html.j2", lead=said[0], said=said[1:], grids=grids, whys=list(whys))


def slug(name: str) -> str:
    """Return a name as a part of a link."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", name)


def grid(id_: str, title: str, cells: list[Cell], whys: dict[str, int]) -> Grid:
    """Return a table's lines; reasons that are new are added to ``whys``."""
    columns: dict[str, str] = {}
    found: dict[tuple[str, str], dict[str, Cell]] = {}
    for cell in cells:
        columns.setdefault(cell.column, cell.metric)
        found.setdefault((cell.row, cell.cls), {})[cell.column] = cell
    made = Grid(
        id=id_,
        title=title,
        protocol=next((cell.protocol for cell in cells), ""),
        columns=list(columns.items()),
        by_class=len({cell.cls for cell in cells} - {""}) > 1,
        worded=any(cell.verdict not in GROUPS for cell in cells),
        printed=any(cell.printed is not None for cell in cells),
    )
    first: set[str] = set()
    above = None
    for (label, cls), by_column in found.items():
        run = next((cell.run for cell in by_column.values() if cell.run), "")
        shown = [_shown(by_column[name], whys) if name in by_column else None for name, _ in made.columns]
        for each in shown:
            if each and each.group not in first:
                first.add(each.group)
                each.id = f"{id_}-{each.group.replace(' ', '-')}"
        words = "; ".join(dict.fromkeys(cell.verdict for cell in by_column.values() if cell.verdict))
        made.lines.append((label if not made.by_class or label != above else "", cls, run, shown, words))
        above = label
    return made


def _shown(cell: Cell, whys: dict[str, int]) -> Shown:
    printed = number(cell.printed, cell.digits)
    if cell.printed_sd is not None:
        printed += f" ± {number(cell.printed_sd, cell.digits)}"
    return Shown(
        cell=cell,
        ours=number(cell.ours, cell.digits) if cell.verdict != NOT_RUN else NOT_RUN,
        spread=f"± {number(cell.sd, cell.digits)}" if cell.sd is not None else cell.quartiles.strip(),
        printed="" if cell.printed is None else printed,
        difference="" if cell.difference is None else signed(cell.difference, cell.digits),
        group=GROUPS.get(cell.verdict, NOTHING),
        why=whys.setdefault(cell.why, len(whys) + 1) if cell.why else 0,
    )


def signed(value: float, digits: int) -> str:
    """Return a difference with its sign, a true minus."""
    text = f"{value:+.{digits}f}"
    return (text[1:] if float(text) == 0 else text).replace("-", "−")
