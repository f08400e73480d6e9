"""Where a number of a table comes from."""

from __future__ import annotations

import pandas as pd

from covidseg.base.errors import UserError, nearest
from covidseg.plan import Plan
from covidseg.tables import rows


def trace(plan: Plan, paper: str, name: str, row: str, metric: str) -> str:
    """Return where a number comes from, as the table's kind knows it.

    ``row`` is a row's label or run; where rows of several classes share it, with the class, as ``s4:ggo``.
    """
    table = plan.papers[paper].tables[name]
    path = plan.paths.table(paper, name, "csv")
    if not path.is_file():
        raise UserError(f"{path}: missing; run snakemake, or covidseg table {paper} {name}")
    frame = rows.read(path)
    label, cls = rows.find(frame, paper, row, path)
    found = frame[(frame.row == label) & (frame["class"] == cls) & (frame.column == metric)]
    if found.empty:
        raise UserError(f"{path}: no column {metric!r}; {nearest(metric, frame.column.unique())}")
    cell = found.iloc[0]
    title = rows.titles(frame)[found.index[0]]
    printed = "" if pd.isna(cell.printed) else f"printed {cell.printed}, "
    ours = "ours –" if pd.isna(cell.ours) else f"ours {cell.ours}"
    verdict = f" ({cell.verdict})" if cell.verdict else ""
    lines = [f"Table {name} of {paper}, {title}, {metric}: {printed}{ours}{verdict}"]
    return "\n".join([*lines, *table.origin(plan, cell)])
