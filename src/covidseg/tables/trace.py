"""Where a number of a table comes from."""

from __future__ import annotations

import pandas as pd

from covidseg import record
from covidseg.errors import UserError, nearest
from covidseg.plan import Plan
from covidseg.schema import DatasetTable, ResultTable
from covidseg.tables.cell import NOT_RUN
from covidseg.tables.results import run_scores


def trace(plan: Plan, paper: str, name: str, row: str, metric: str) -> str:
    """Return where a number comes from: cases, run.json of every fold and seed, command."""
    table = plan.papers[paper].tables[name]
    path = plan.paths.table(paper, name, "csv")
    if not path.is_file():
        raise UserError(f"{path}: missing; run snakemake, or covidseg table {paper} {name}")
    frame = pd.read_csv(path)
    labels = {r.run: r.label for r in table.rows if r.run} if isinstance(table, ResultTable) else {}
    label = labels.get(row, row)
    if label not in set(frame.row):
        raise UserError(f"{path}: no row {row!r}; {nearest(row, [*labels, *frame.row.unique()])}")
    found = frame[(frame.row == label) & (frame.column == metric)]
    if found.empty:
        raise UserError(f"{path}: no column {metric!r}; {nearest(metric, frame.column.unique())}")
    cell = found.iloc[0]
    lines = [f"Table {name} of {paper}, {label}, {metric}: printed {cell.printed}, ours {cell.ours} ({cell.verdict})"]
    if isinstance(table, DatasetTable):
        return "\n".join([*lines, *(f"counted in {plan.paths.canonical(n)}/slices.csv" for n in cell.run.split(" + "))])
    if cell.verdict == NOT_RUN:
        return f"{lines[0]}: {cell.run or 'this row has no run'} is left out by only: in {plan.source}"
    run = plan.run(cell.run)
    lines.append(f"mean of {cell.metric} over {cell.slices} slices x {cell.seeds} seeds, protocol {cell.protocol}, in")
    lines.append(f"  {plan.paths.run(run.id) / 'cases.csv'}")
    lines.append(f"scored by   covidseg --config {plan.source} score {run.id}")
    scores = run_scores(plan, run, cell.protocol, plan.protocol(cell.protocol).unit)
    for fold, seed in run.jobs:
        job = plan.paths.job(run.id, fold, seed)
        mean = scores[(scores.fold == fold) & (scores.seed == seed)][cell.metric].mean()
        lines.append(f"fold {fold} seed {seed}: {mean:.4f}  {job / 'run.json'}")
        lines.append(f"  trained by  {record.read(job / 'run.json')['command']}")
    return "\n".join(lines)
