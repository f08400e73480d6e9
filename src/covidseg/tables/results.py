"""Tables of scores: ours, computed from the cases of every fold and seed, beside the printed values."""

from __future__ import annotations

from typing import Any

import pandas as pd

from covidseg.errors import UserError
from covidseg.freshness import scores_problem, training_problem
from covidseg.plan import STANDARD, Plan, Run, qualified
from covidseg.schema import ResultTable
from covidseg.tables.cell import NOT_RUN, Cell, judge


def result_cells(plan: Plan, paper: str, table: ResultTable) -> list[Cell]:
    """Return the cells of a table of scores: its own protocol, then the standard one where we have results."""
    cells = []
    for protocol_name in dict.fromkeys([table.protocol, STANDARD]):
        protocol = plan.protocol(protocol_name)
        own = protocol_name == table.protocol
        columns = table.metrics if own else {metric.title: key for key, metric in protocol.metrics.items()}
        for row in table.rows:
            run_id = qualified(paper, row.run) if row.run else ""
            run = plan.run(run_id) if run_id and plan.wanted(run_id) else None
            if run is None and not own:
                continue
            scores = run_scores(plan, run, protocol_name, protocol.unit) if run else None
            for column, key in columns.items():
                metric = protocol.metrics[key]
                printed = row.printed.get(column) if own else None
                cells.append(
                    _cell(
                        row=row.label,
                        run=run_id,
                        protocol=protocol_name,
                        column=column,
                        metric=key,
                        printed=float(printed) if printed is not None else None,
                        values=scores[["fold", "seed", key]].dropna() if scores is not None else None,
                        reasons=[*([metric.not_comparable] if metric.not_comparable else []), *plan.caveats(run)]
                        if run
                        else [],
                        digits=metric.digits,
                    )
                )
    return cells


def run_scores(plan: Plan, run: Run, protocol: str, unit: str) -> pd.DataFrame:
    """Return a run's scores under one protocol. Raises UserError for a result that was not made from today's row."""
    for fold, seed in run.jobs:
        if problem := training_problem(plan, run, fold, seed):
            path = plan.paths.job(run.id, fold, seed) / "run.json"
            raise UserError(f"{path}: {problem}; run snakemake to make it again")
    path = plan.paths.run(run.id) / "cases.csv"
    if not path.is_file():
        raise UserError(f"{path}: missing; run covidseg score {run.id} first (or snakemake)")
    if problem := scores_problem(plan, run):
        raise UserError(f"{path}: {problem}; run covidseg score {run.id} again (or snakemake)")
    try:
        frame = pd.read_csv(path, dtype={"case": str})
        return frame[(frame.protocol == protocol) & (frame.unit == unit)]
    except (ValueError, AttributeError) as e:
        raise UserError(f"{path}: damaged ({e}); run covidseg score {run.id} again") from e


def _cell(*, values: pd.DataFrame | None, reasons: list[str], printed: float | None, metric: str, **about: Any) -> Cell:
    if values is None or values.empty:
        return Cell(
            metric=metric,
            printed=printed,
            ours=None,
            sd=None,
            difference=None,
            verdict=NOT_RUN,
            why="",
            folds=0,
            seeds=0,
            slices=0,
            **about,
        )
    jobs = values.groupby(["fold", "seed"])[metric].mean()
    ours = float(values.groupby("seed")[metric].mean().mean())
    sd = float(jobs.std(ddof=1)) if len(jobs) > 1 else None
    verdict, why = judge(printed, ours, sd, reasons)
    return Cell(
        metric=metric,
        printed=printed,
        ours=ours,
        sd=sd,
        difference=ours - printed if printed is not None else None,
        verdict=verdict,
        why=why,
        folds=values.fold.nunique(),
        seeds=values.seed.nunique(),
        slices=len(values) // values.seed.nunique(),
        **about,
    )
