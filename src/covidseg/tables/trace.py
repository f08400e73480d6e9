"""Where a number of a table comes from."""

from __future__ import annotations

from covidseg.base.errors import UserError, nearest
from covidseg.jobs import record
from covidseg.plan import Plan
from covidseg.schema import DatasetTable
from covidseg.tables import rows
from covidseg.tables.cell import NOT_FOUND, NOT_RUN
from covidseg.tables.results import run_scores


def trace(plan: Plan, paper: str, name: str, row: str, metric: str) -> str:
    """Return where a number comes from: cases, run.json of every fold and seed, command.

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
    lines = [f"Table {name} of {paper}, {title}, {metric}: printed {cell.printed}, ours {cell.ours} ({cell.verdict})"]
    if isinstance(table, DatasetTable):
        return "\n".join([*lines, *(f"counted in {plan.paths.canonical(n)}/slices.csv" for n in cell.run.split(" + "))])
    if cell.verdict == NOT_RUN:
        return f"{lines[0]}: {cell.run or 'this row has no run'} is left out by only: in {plan.source}"
    run = plan.run(cell.run)
    if cell.verdict == NOT_FOUND:
        return f"{lines[0]}; fetched: {plan.paths.raw(run.spec.maps or '') / 'fetched.json'}"
    classes = [cls] if cls in run.spec.classes else run.spec.classes
    over = f"{cell.slices} slices x {cell.seeds} seeds x {', '.join(classes)}"
    lines.append(f"mean of {cell.metric} over {over}, protocol {cell.protocol}, in")
    lines.append(f"  {plan.paths.run(run.id) / 'cases.csv'}")
    lines.append(f"scored by   covidseg --config {plan.source} score {run.id}")
    scores = run_scores(plan, run, cell.protocol, plan.catalogue.protocol(cell.protocol).unit)
    scores = scores[scores["class"].isin(classes)]
    for fold, seed in run.jobs:
        job = plan.paths.job(run.id, fold, seed)
        mean = scores[(scores.fold == fold) & (scores.seed == seed)][cell.metric].mean()
        lines.append(f"fold {fold} seed {seed}: {mean:.4f}  {job / 'run.json'}")
        lines.append(f"  made by     {record.read(job / 'run.json')['command']}")
    return "\n".join(lines)
