"""The finished tables and claims in the terminal: paper beside ours."""

from __future__ import annotations

from typing import Any

import pandas as pd
from rich.table import Table

from covidseg import claims
from covidseg.base.text import console as plain_console
from covidseg.claims.layout import signed
from covidseg.plan import Plan
from covidseg.plan.names import check_known
from covidseg.report.scoreboard import CLAIMS, COLUMNS, Board, scoreboard
from covidseg.tables import rows
from covidseg.tables.caption import summaries
from covidseg.tables.cell import NOT_RUN
from covidseg.tables.layout import number
from covidseg.tables.results import UNITS

WIDEST = 132
COUNTS = ("all", "cases", "slices", "classes")  # columns of tables of data sets


def show(plan: Plan, what: str | None = None) -> None:
    """Print the scoreboard and where the report is; of ``what``, PAPER or PAPER/TABLE, the tables and claims too.

    Raises UserError for a paper or table that is not asked for.
    """
    asked, _, only = (what or "").partition("/")
    known = {paper: [name for of, name, _ in plan.targets.tables() if of == paper] for paper in plan.config.papers}
    if what is not None:
        check_known([asked], known, "show")
        check_known([only] if only else [], known[asked], f"show {asked}/")
    console = plain_console()
    if not console.is_terminal:
        console.width = WIDEST
    paths = [plan.paths.table(paper, name, "csv") for paper, name, _ in plan.targets.tables()]
    masks = [run for run in plan.targets.masks() if (plan.paths.masks(run) / "masks.json").is_file()]
    if not masks and not any(path.is_file() for path in paths):
        console.print(f"No table is made yet in mode {plan.config.mode}: run make demo, or snakemake.")
        return
    for (paper, name, table), path in zip(plan.targets.tables(), paths, strict=True):
        if not path.is_file() or paper != asked or (only and only != name):
            continue
        frame = rows.read(path)
        if table.scored_by:
            frame = frame[frame.protocol == table.scored_by]
        metrics = plan.catalogue.protocol(table.scored_by).metrics if table.scored_by else {}
        digits = {key: min(3, metric.digits) for key, metric in metrics.items()}
        console.print(_grid(frame, f"{paper}, table {name}: {table.caption}", _about(plan, table), digits))
    for paper in plan.targets.claims():
        if paper == asked and not only and plan.paths.claims(paper, "csv").is_file():
            console.print(_claims(claims.read(plan, paper), f"{paper}, claims"))
    if what is None:
        console.print(_board(scoreboard(plan)))
        console.print("The tables and claims: covidseg show PAPER, or covidseg show PAPER/TABLE")
    for run in masks:
        console.print(f"Masks and volumes.csv: {plan.paths.masks(run)}", soft_wrap=True)
    if plan.config.mode == "demo":
        console.print("Demo mode: phantom CT. The numbers show that everything runs, not that a paper's claim holds.")
    if plan.paths.report.is_file():
        console.print(f"Report: {plan.paths.report}", soft_wrap=True)


def _board(boards: list[Board]) -> Table:
    grid = Table(title="Printed numbers and claims, by verdict", title_justify="left")
    grid.add_column("", overflow="fold")
    for heading in (*COLUMNS, *(f"claims {verdict}" for verdict in CLAIMS)):
        grid.add_column(heading, justify="right")
    for board in boards:
        counts = [*board.total.values(), *(board.claims.get(verdict, 0) for verdict in CLAIMS)]
        grid.add_row(board.paper, *(str(count or "–") for count in counts))
    return grid


def _about(plan: Plan, table: Any) -> str:
    """Return what the numbers of a table are means of; empty where it has no scores."""
    if not table.scored_by:
        return ""
    protocol = plan.catalogue.protocol(table.scored_by)
    return "; ".join([f"mean over test {UNITS[protocol.unit]}", *summaries(table, protocol)])


def _grid(frame: pd.DataFrame, title: str, about: str, digits: dict[str, int]) -> Table:
    """Return a table; ``about``: what its numbers are means of; ``digits``: of metrics."""
    printed = bool(frame.printed.notna().any())
    spread = "± sd over folds and seeds" if frame.sd.notna().any() else ""
    said = [" / ".join(["printed"] * printed + ["ours"]), about, spread]
    grid = Table(title=title, title_justify="left", caption="; ".join(filter(None, said)))
    grid.add_column("", overflow="fold")
    columns = list(dict.fromkeys(frame.column))
    for column in columns:
        grid.add_column(column, justify="right", no_wrap=True)
    for row, cells in frame.assign(title=rows.titles(frame)).groupby("title", sort=False):
        lines = cells.set_index("column")
        grid.add_row(str(row), *(_cell(lines.loc[column], printed, digits) for column in columns))
    return grid


def _claims(frame: pd.DataFrame, title: str) -> Table:
    grid = Table(
        title=title, title_justify="left", caption="difference, above zero: as the paper has it; 95 % interval"
    )
    for heading in ("", "printed", "ours", "verdict"):
        grid.add_column(heading, overflow="fold")
    for claim in frame.to_dict("records"):
        numbers = (claim[key] for key in ("printed", "gain", "low", "high"))
        printed, gain, low, high = (signed(None if pd.isna(value) else value, 4) for value in numbers)
        ours = gain if pd.isna(claim["gain"]) else f"{gain} [{low}, {high}]"
        grid.add_row(claim["claim"], printed, ours, claim["verdict"])
    return grid


def _cell(cell: pd.Series, with_printed: bool, of_metrics: dict[str, int]) -> str:
    digits = 0 if cell.metric in COUNTS else of_metrics.get(cell.metric, 3)
    printed = f"{number(cell.printed, digits)} / " if with_printed else ""
    if cell.verdict == NOT_RUN:
        return f"{printed}{NOT_RUN}"
    spread = f" ± {number(cell.sd, digits)}" if pd.notna(cell.sd) else cell.get("quartiles", "")
    return f"{printed}{number(cell.ours, digits)}{spread}"
