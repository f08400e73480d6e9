"""A paper's tables: what it printed beside what we found, with the spread, the difference and a verdict.

The CSV is tidy: one line per row and column. Markdown, LaTeX and HTML lay it out as the paper does.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from covidseg import record
from covidseg.data.canonical import Store, read_table
from covidseg.errors import UserError, nearest
from covidseg.files import write_text
from covidseg.plan import STANDARD, Plan, Run, qualified
from covidseg.schema import DatasetRow, DatasetTable, ResultTable

INSIDE = "inside our spread"
OUTSIDE = "outside our spread"
NOT_COMPARABLE = "not comparable"
NOT_RUN = "not run"
SPREADS = 2.0  # a printed value within mean +- 2 standard deviations over folds and seeds is inside


@dataclass(frozen=True)
class Cell:
    """One number of a table. ``ours`` is the mean over slices, ``sd`` the deviation over folds and seeds."""

    row: str
    run: str
    protocol: str
    column: str
    metric: str
    printed: float | None
    ours: float | None
    sd: float | None
    difference: float | None
    verdict: str
    why: str
    folds: int
    seeds: int
    slices: int
    digits: int = 4


def write(plan: Plan, paper: str, name: str) -> None:
    """Write one table as CSV, Markdown, LaTeX and HTML. Raises UserError for a result of another spec."""
    table = plan.papers[paper].tables[name]
    cells = dataset_cells(plan, table) if isinstance(table, DatasetTable) else result_cells(plan, paper, table)
    frame = pd.DataFrame([asdict(cell) for cell in cells])
    frame.insert(0, "table", name)
    frame.insert(0, "paper", paper)

    def path(suffix: str) -> Path:
        return plan.paths.table(paper, name, suffix)

    caption = caption_of(plan, paper, name)
    main = [cell for cell in cells if cell.protocol != STANDARD or getattr(table, "protocol", "") == STANDARD]
    panel = [cell for cell in cells if cell not in main]
    write_text(path("csv"), frame.drop(columns="digits").to_csv(index=False, float_format="%.6f"))
    write_text(path("md"), markdown(caption, main, panel))
    write_text(path("tex"), latex(caption, f"{paper}-{name}", main))
    write_text(path("html"), html(caption, main, panel))


# ---- result tables


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
        path = plan.paths.job(run.id, fold, seed) / "run.json"
        made = record.read(path)
        if made.get("spec_hash") != run.hash:
            changed = _changed(made.get("spec", {}), run.spec.model_dump(mode="json"))
            raise UserError(f"{path}: made from another spec ({changed}); run snakemake to make it again")
    path = plan.paths.run(run.id) / "cases.csv"
    if not path.is_file():
        raise UserError(f"{path}: missing; run covidseg score {run.id} first (or snakemake)")
    frame = pd.read_csv(path, dtype={"case": str})
    return frame[(frame.protocol == protocol) & (frame.unit == unit)]


def _changed(before: dict[str, Any], after: dict[str, Any], path: str = "") -> str:
    for key in sorted(set(before) | set(after)):
        a, b = before.get(key), after.get(key)
        if isinstance(a, dict) and isinstance(b, dict):
            if found := _changed(a, b, f"{path}{key}."):
                return found
        elif a != b:
            return f"{path}{key} was {a}, is {b}"
    return ""


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


def judge(printed: float | None, ours: float, sd: float | None, reasons: list[str]) -> tuple[str, str]:
    """Return (verdict, why): comparable only when nothing but chance can tell ours from the printed value."""
    if printed is None:
        return "", "nothing printed"
    if reasons:
        return NOT_COMPARABLE, "; ".join(reasons)
    if sd is None:
        return NOT_COMPARABLE, "one fold and one seed have no spread; set more seeds in config.yaml"
    inside = abs(printed - ours) <= SPREADS * sd
    return (INSIDE if inside else OUTSIDE), f"|difference| {abs(printed - ours):.4f}, {SPREADS:g} sd {SPREADS * sd:.4f}"


# ---- tables of data sets


def dataset_cells(plan: Plan, table: DatasetTable) -> list[Cell]:
    """Return the cells of a table that counts slices, classes and shares of pixels."""
    wanted = plan.table_datasets(table)
    cells = []
    for row in table.rows:
        names = [plan.stands_for(name) for name in row.datasets]
        found = count(plan, names, row) if all(name in wanted for name in names) else {}
        reasons = ["phantom CT, not patients"] if plan.config.mode == "demo" else []
        reasons += [f"{plan.stands_for(n)} stands in for {n}" for n in row.datasets if plan.stands_for(n) != n]
        for column, key in table.columns.items():
            printed, ours = row.printed.get(column), found.get(key)
            value = float(printed) if printed is not None else None
            difference = ours - value if ours is not None and value is not None else None
            if ours is None:
                verdict = NOT_RUN if not found else ""
            elif value is None:
                verdict = ""
            elif reasons:
                verdict = NOT_COMPARABLE
            else:
                verdict = "equal" if abs(ours - value) < 5e-5 else "differs"
            cells.append(
                Cell(
                    row=row.label,
                    run=" + ".join(names),
                    protocol="",
                    column=column,
                    metric=key,
                    printed=value,
                    ours=ours,
                    sd=None,
                    difference=difference,
                    verdict=verdict,
                    why="; ".join(reasons),
                    folds=0,
                    seeds=0,
                    slices=int(found.get("slices", 0)),
                    digits=0 if key in ("slices", "classes") else 4,
                )
            )
    return cells


def count(plan: Plan, datasets: list[str], row: DatasetRow) -> dict[str, float]:
    """Return slices with lesion, the number of classes, and the share of each class, of all lesions and of lung.

    Shares are over all pixels of the slices that count, after the data set's crop would leave them: per slice the
    class's pixels divided by the slice's, then the mean over slices.
    """
    slices = 0
    shares: dict[str, list[float]] = {}
    for name in datasets:
        lesion = plan.class_values(name, [row.lesion])[row.lesion]
        by_value = {value: key for key, value in plan.dataset(name).classes.items()}
        folder = plan.paths.canonical(name)
        lungs = lung_pixels(folder)
        crop = plan.dataset(name).crop
        for line in read_table(folder / "slices.csv"):
            pixels = {key: line[f"px_{key}"] or 0 for key in by_value.values()}
            infected = sum(pixels[by_value[value]] for value in lesion)
            if not infected:
                continue
            slices += 1
            height, width = line["height"], line["width"]
            area = min(height, crop.size) * min(width, crop.size) if crop else height * width
            if lungs is not None:
                shares.setdefault("lung", []).append(lungs[line["slice"]] / area)
            shares.setdefault(row.lesion, []).append(infected / area)
            for key in row.classes:
                shares.setdefault(key, []).append(pixels.get(key, infected) / area)
    means = {key: float(np.mean(values)) for key, values in shares.items()}
    return {**means, "slices": float(slices), "classes": float(len(row.classes))}


def lung_pixels(folder: Path) -> dict[str, int] | None:
    """Return lung pixels per slice id; None where the data set has no lung masks."""
    import h5py

    with h5py.File(folder / "lungs.h5") as masks, Store(folder) as store:
        if masks.attrs["source"] == "none":
            return None
        return {
            f"{case}/{position:03d}": int(slice_.sum())
            for case in store.cases()
            for position, slice_ in enumerate(masks[case]["lung"][()])
        }


# ---- layout


def caption_of(plan: Plan, paper: str, name: str) -> str:
    """Return the caption: the paper's, then mode, preset, data and everything that differs from the paper."""
    head, table = plan.papers[paper].paper, plan.papers[paper].tables[name]
    parts = [f"{head.authors} {head.venue}, Table {name}: {table.caption}."]
    if isinstance(table, DatasetTable):
        used = {n: plan.stands_for(n) for row in table.rows for n in row.datasets}
        parts.append(f"Mode {plan.config.mode}.")
        parts += [f"{new} stands in for {old}." for old, new in used.items() if new != old]
        sources = {n: plan.lungs(n) for n in used.values() if n in plan.table_datasets(table)}
        parts.append("Lung masks: " + ", ".join(f"{n} {source}" for n, source in sources.items()) + ".")
    else:
        runs = [plan.run(run) for run in plan.table_runs(paper, table)]
        parts.append(f"Mode {plan.config.mode}, preset {plan.preset_name}, protocol {table.protocol}.")
        data = dict.fromkeys(f"{run.spec.dataset}, split {run.spec.split}, lung masks {run.spec.lungs}" for run in runs)
        parts.append(f"Data: {'; '.join(data)}.")
        parts += differences(plan, runs)
        released = {run.id: run.released for run in runs if run.released}
        parts += [f"{run} follows the released code in: {', '.join(names)}." for run, names in released.items()]
        parts.append("Ours: mean over test slices, +- standard deviation over folds and seeds.")
        protocol = plan.protocol(table.protocol)
        for column, key in table.metrics.items():
            if protocol.metrics[key].not_comparable:
                parts.append(f"{column}: {protocol.metrics[key].not_comparable}.")
    return " ".join([*parts, *table.notes]).replace("..", ".")


def differences(plan: Plan, runs: list[Run]) -> list[str]:
    """Return sentences that say how runs differ from the paper: what all share, then what only some have."""
    caveats = {run.id: plan.caveats(run) for run in runs}
    scaled = {change for run in runs for change in run.scaled}
    everything = list(dict.fromkeys(caveat for found in caveats.values() for caveat in found))
    common = [caveat for caveat in everything if all(caveat in found for found in caveats.values())]
    single = [f"{run} {c}" for run, found in caveats.items() for c in found if c not in common]
    other = [caveat for caveat in common if caveat not in scaled]
    preset = [*(c for c in common if c in scaled), *single]
    sentences = [f"Differs from the paper: {'; '.join(other)}."] if other else []
    return sentences + ([f"Preset {plan.preset_name} changes {', '.join(preset)}."] if preset else [])


def number(value: float | None, digits: int) -> str:
    """Return a number as a table shows it; a dash where there is none."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    text = f"{value:.{digits}f}"
    return text.removeprefix("-") if float(text) == 0 else text


def grid(cells: list[Cell]) -> tuple[list[str], list[list[str]]]:
    """Return (headings, lines) of a table: per column the printed value, ours with its spread, the difference."""
    columns = list(dict.fromkeys(cell.column for cell in cells))
    rows: dict[str, dict[str, Cell]] = {}
    for cell in cells:
        rows.setdefault(cell.row, {})[cell.column] = cell
    printed = any(cell.printed is not None for cell in cells)
    headings = [""]
    for column in columns:
        headings += [f"{column} printed", f"{column} ours", "difference"] if printed else [column]
    lines = []
    for label, found in rows.items():
        line = [label]
        for column in columns:
            cell = found[column]
            ours = number(cell.ours, cell.digits) + (
                f" ± {number(cell.sd, cell.digits)}" if cell.sd is not None else ""
            )
            if cell.verdict == NOT_RUN:
                ours = NOT_RUN
            difference = number(cell.difference, cell.digits)
            line += [number(cell.printed, cell.digits), ours, difference] if printed else [ours]
        verdicts = [c.verdict for c in found.values() if c.verdict]
        if printed:
            line.append(_together(verdicts, found))
        lines.append(line)
    if printed:
        headings.append("verdict")
    return headings, lines


def _together(verdicts: list[str], found: dict[str, Cell]) -> str:
    kinds = dict.fromkeys(verdicts)
    if len(kinds) == 1:
        return next(iter(kinds))
    return "; ".join(f"{c.column} {c.verdict}" for c in found.values() if c.verdict)


def _markdown_grid(cells: list[Cell]) -> str:
    headings, lines = grid(cells)
    rule = ["---", *["---:"] * (len(headings) - 1)]
    return "\n".join("| " + " | ".join(line) + " |" for line in [headings, rule, *lines])


def markdown(caption: str, main: list[Cell], panel: list[Cell]) -> str:
    """Return the table in Markdown, the standard protocol's panel below it."""
    out = f"{_markdown_grid(main)}\n\n{caption}\n"
    if panel:
        out += f"\nThe same predictions under the standard protocol:\n\n{_markdown_grid(panel)}\n"
    return out


def latex(caption: str, label: str, main: list[Cell]) -> str:
    """Return the table as a LaTeX table environment (package booktabs)."""
    headings, lines = grid(main)
    body = " \\\\\n".join(" & ".join(_tex(value) for value in line) for line in lines)
    return (
        "\\begin{table}\n\\centering\n"
        f"\\caption{{{_tex(caption)}}}\n\\label{{tab:{label}}}\n"
        f"\\begin{{tabular}}{{l{'r' * (len(headings) - 1)}}}\n\\toprule\n"
        f"{' & '.join(_tex(h) for h in headings)} \\\\\n\\midrule\n{body} \\\\\n"
        "\\bottomrule\n\\end{tabular}\n\\end{table}\n"
    )


def _tex(text: str) -> str:
    for plain, escaped in [
        ("\\", "/"),
        ("&", "\\&"),
        ("%", "\\%"),
        ("_", "\\_"),
        ("#", "\\#"),
        ("±", "$\\pm$"),
        ("–", "--"),
    ]:
        text = text.replace(plain, escaped)
    return text


def html(caption: str, main: list[Cell], panel: list[Cell]) -> str:
    """Return the table as an HTML page that also stands inside the report."""
    from covidseg.templates import render

    grids = [("", *grid(main))] + (
        [("The same predictions under the standard protocol", *grid(panel))] if panel else []
    )
    return render("table.html.j2", caption=caption, grids=grids)


# ---- trace


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
    run = plan.run(cell.run)
    lines.append(f"mean of {cell.metric} over {cell.slices} slices x {cell.seeds} seeds, protocol {cell.protocol}, in")
    lines.append(f"  {plan.paths.run(run.id) / 'cases.csv'}")
    lines.append(f"scored by   covidseg --config {plan.paths.config} score {run.id}")
    scores = run_scores(plan, run, cell.protocol, plan.protocol(cell.protocol).unit)
    for fold, seed in run.jobs:
        job = plan.paths.job(run.id, fold, seed)
        mean = scores[(scores.fold == fold) & (scores.seed == seed)][cell.metric].mean()
        lines.append(f"fold {fold} seed {seed}: {mean:.4f}  {job / 'run.json'}")
        lines.append(f"  trained by  {record.read(job / 'run.json')['command']}")
    return "\n".join(lines)
