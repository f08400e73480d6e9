"""Tables of scores: ours, computed from the cases of every fold and seed, beside the printed values."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pandas as pd

from covidseg.base import csvfile, records
from covidseg.base.errors import UserError
from covidseg.jobs import record
from covidseg.plan import STANDARD, Plan, Run, qualified
from covidseg.tables.cell import AVERAGE, DIFFERS, EQUAL, NOT_FOUND, NOT_RUN, NOTHING, Cell, judge
from covidseg.upkeep.freshness import scores_problem, training_problem

if TYPE_CHECKING:
    from covidseg.tables.kinds.results import ResultTable

UNITS = {"slice": "slices", "case": "scans", "pooled": "pixels"}  # of a protocol, in words
EITHER = "mm or px"  # what a protocol says before the spacing is known
TEXT = ("protocol", "unit", "case", "slice", "class", "length_unit")  # columns of scores that are no numbers
TESTED = ["fold", "case", "slice"]  # what says which slice a score is of; a case's score has no slice


def result_cells(plan: Plan, paper: str, table: ResultTable) -> list[Cell]:
    """Return the cells of a table of scores: its own protocol and facts, then the standard protocol."""
    cells = []
    by_class = any(line.cls for line in table.lines)
    lengths: set[str] = set()  # of the standard protocol's distances: mm, px or both
    for protocol_name in dict.fromkeys([table.protocol, STANDARD]):
        protocol = plan.catalogue.protocol(protocol_name)
        own = protocol_name == table.protocol
        named = {m.title + f" ({m.unit})" * bool(m.unit): key for key, m in protocol.metrics.items()}
        columns = table.metrics if own else named
        for line in table.lines:
            run_id = qualified(paper, line.run) if line.run else ""
            run = plan.run(run_id) if run_id and plan.resolver.wanted(run_id) else None
            if not own and (run is None or plan.dataset(run.spec.dataset).image_labels):
                continue
            scores = run_scores(plan, run, protocol_name, protocol.unit, line.cls) if run else None
            if scores is not None and not own:
                lengths |= set(scores["length_unit"])
            known = plan.resolver.known(run_id)
            cls = line.cls or (shown_class(plan.run(run_id)) if known else AVERAGE if by_class else "")
            caveats = plan.resolver.caveats(run) if run else []
            about: dict[str, Any] = {"row": line.label, "run": run_id, "cls": cls, "protocol": protocol_name}
            for column, key in columns.items():
                metric = protocol.metrics[key]
                cell = _cell(
                    **about,
                    column=column,
                    metric=key,
                    printed=line.printed.get(column) if own else None,
                    printed_sd=line.spread.get(column) if own else None,
                    values=scores[[*TESTED, "seed", key]].dropna(subset=key) if scores is not None else None,
                    reasons=[*([metric.not_comparable] if metric.not_comparable else []), *caveats],
                    digits=metric.digits,
                    summary=metric.summary,
                    maps=bool(run and run.spec.maps),
                )
                cells.append(_lost(cell) if own and table.lost else cell)
            for column, fact in (table.facts if own else {}).items():
                about |= {"column": column, "metric": fact, "printed": line.printed.get(column)}
                if fact == "parameters":
                    cell = _parameters(plan.run(run_id) if known else None, **about)
                else:
                    cell = _recorded(plan, run, **about)
                cells.append(_lost(cell) if table.lost else cell)
    unit = lengths.pop() if len(lengths) == 1 else EITHER
    return [replace(cell, column=cell.column.replace(f"({EITHER})", f"({unit})")) for cell in cells]


def _lost(cell: Cell) -> Cell:
    """Return a cell of a table whose printed values are lost: where none survives, it says so."""
    return replace(cell, verdict=NOTHING) if cell.printed is None and cell.ours is not None else cell


def _parameters(resolved: Run | None, *, printed: float | None, **about: Any) -> Cell:
    """Return the cell of a run's number of parameters, in million: of its network before the preset scaled it."""
    from covidseg import nets

    ours = None
    if resolved and resolved.net:
        ours = nets.count(resolved.net, resolved.spec.input.channels, resolved.outputs) / 1e6
    equal = ours is not None and printed is not None and abs(ours - printed) <= 0.005 + 1e-9
    verdict = "" if ours is None or printed is None else EQUAL if equal else DIFFERS
    return Cell(
        printed=printed,
        ours=ours,
        sd=None,
        difference=None if ours is None or printed is None else ours - printed,
        verdict=verdict,
        why="counted on the network, which no data change" if verdict else "",
        folds=0,
        seeds=0,
        slices=0,
        digits=2,
        **about,
    )


def _recorded(plan: Plan, resolved: Run | None, *, metric: str, **about: Any) -> Cell:
    """Return the cell of a fact in a run's records, as the accuracy of a classifier: its mean over folds and seeds."""
    jobs = resolved.jobs if resolved else []
    made = [record.read(plan.paths.job(about["run"], *job) / record.RUN).get(metric) for job in jobs]
    values = pd.Series([value for value in made if value is not None], dtype=float)
    return Cell(
        metric=metric,
        ours=float(values.mean()) if len(values) else None,
        sd=float(values.std(ddof=1)) if len(values) > 1 else None,
        difference=None,
        verdict="" if resolved else NOT_RUN,
        why="",
        folds=len({fold for fold, _ in jobs}),
        seeds=len({seed for _, seed in jobs}),
        slices=0,
        **about,
    )


def shown_class(run: Run, cls: str | None = None) -> str:
    """Return what a row or claim of a run scores: the class it names, the run's only one, or AVERAGE."""
    return cls or (run.spec.classes[0] if len(run.spec.classes) == 1 else AVERAGE)


def run_scores(plan: Plan, run: Run, protocol: str, unit: str, cls: str | None = None) -> pd.DataFrame:
    """Return a run's scores under one protocol: those of a class, or of all.

    Raises UserError for a result that was not made from today's row.
    """
    for fold, seed in run.jobs:
        if problem := training_problem(plan, run, fold, seed):
            path = plan.paths.job(run.id, fold, seed) / "run.json"
            raise UserError(f"{path}: {problem}; {records.REPAIR}")
    path = plan.paths.run(run.id) / "cases.csv"
    if not path.is_file():
        raise UserError(f"{path}: missing; run covidseg score {run.id} first (or snakemake)")
    if problem := scores_problem(plan, run):
        raise UserError(f"{path}: {problem}; {records.REPAIR}")
    with records.parsing(path):
        frame = csvfile.frame(path, TEXT)
        frame = frame[(frame.protocol == protocol) & (frame.unit == unit)]
        return frame[frame["class"] == cls] if cls else frame


def tested(scores: pd.DataFrame) -> int:
    """Return how many slices (or cases) were tested: one counts once, however many classes and seeds it has."""
    return len(scores[TESTED].drop_duplicates())


def _cell(
    *,
    values: pd.DataFrame | None,
    reasons: list[str],
    printed: float | None,
    printed_sd: float | None,
    metric: str,
    summary: str = "mean",
    maps: bool = False,
    **about: Any,
) -> Cell:
    """Return the cell of a row's scores in one metric; ``maps``: they are of maps that the authors released."""
    if values is None or values.empty:
        missing = NOT_FOUND if maps else NOT_RUN
        return Cell(
            metric=metric,
            printed=printed,
            printed_sd=printed_sd,
            ours=None,
            sd=None,
            difference=None,
            verdict="" if values is not None and not maps else missing,  # a run in which no scan has a value
            why="",
            folds=0,
            seeds=0,
            slices=0,
            **about,
        )
    jobs = values.groupby(["fold", "seed"])[metric].mean()
    ours = float(values.groupby("seed")[metric].agg(summary).mean())
    sd = float(jobs.std(ddof=1)) if len(jobs) > 1 and summary == "mean" else None
    quartiles = ""
    if summary == "median":
        low, high = values[metric].quantile([0.25, 0.75])
        quartiles = f" ({low:.{about['digits']}f} to {high:.{about['digits']}f})"
    verdict, why = judge(printed, ours, sd, reasons, about["digits"] if maps else None, printed_sd)
    return Cell(
        metric=metric,
        printed=printed,
        printed_sd=printed_sd,
        ours=ours,
        sd=sd,
        difference=ours - printed if printed is not None else None,
        verdict=verdict,
        why=why,
        folds=values.fold.nunique(),
        seeds=values.seed.nunique(),
        slices=tested(values),
        quartiles=quartiles,
        **about,
    )


def _units(unit: str, number: int) -> str:
    """Return what a table averages over and how many, as ``1 scan``."""
    if unit == "pooled":
        return f"the pixels of {number} fold{'s' if number != 1 else ''}"
    return f"{number} {UNITS[unit][: -1 if number == 1 else None]}"


def origin(plan: Plan, cell: Any) -> list[str]:
    """Return where the number of a line of a table's CSV comes from: cases, records of folds and seeds, commands."""
    if cell.metric == "parameters":
        net = plan.run(cell.run).net
        return [f"counted on the network {net.get('name')}, as the paper describes it: {net}"]
    if cell.metric in ("accuracy", "auc") and cell.verdict != NOT_RUN:
        run = plan.run(cell.run)
        return [f"{cell.metric} in {plan.paths.job(run.id, *job) / record.RUN}" for job in run.jobs]
    if cell.verdict == NOT_RUN:
        return [f"{cell.run or 'this row has no run'} is left out by only: in {plan.source}"]
    run, cls = plan.run(cell.run), cell["class"]
    if cell.verdict == NOT_FOUND:
        return [f"fetched: {plan.paths.raw(run.spec.maps or '') / 'fetched.json'}"]
    classes = [cls] if cls in run.spec.classes else run.spec.classes
    protocol = plan.catalogue.protocol(cell.protocol)
    seeds = f"{cell.seeds} seed{'s' if cell.seeds != 1 else ''}"
    over = f"{_units(protocol.unit, cell.slices)} x {seeds} x {', '.join(classes)}"
    summary = protocol.metrics[cell.metric].summary
    lines = [
        f"{summary} of {cell.metric} over {over}, protocol {cell.protocol}, in",
        f"  {plan.paths.run(run.id) / 'cases.csv'}",
        f"scored by   covidseg --config {plan.source} score {run.id}",
    ]
    scores = run_scores(plan, run, cell.protocol, protocol.unit)
    scores = scores[scores["class"].isin(classes)]
    for fold, seed in run.jobs:
        job = plan.paths.job(run.id, fold, seed)
        own = scores[(scores.fold == fold) & (scores.seed == seed)][cell.metric].dropna()
        value = f"{own.agg(summary):.4f}" if len(own) else "no value"
        lines.append(f"fold {fold} seed {seed}: {value}  {job / 'run.json'}")
        lines.append(f"  made by     {record.read(job / 'run.json')['command']}")
    return lines
