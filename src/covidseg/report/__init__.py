"""One self-contained HTML page: every table and figure, how each result was made, and what it cost."""

from __future__ import annotations

import base64
import csv
from pathlib import Path
from typing import Any

import pandas as pd

from covidseg.base import records
from covidseg.base.files import write_json, write_text
from covidseg.data.canonical import read_table
from covidseg.figures import caption_of
from covidseg.jobs import record
from covidseg.plan import Plan
from covidseg.report import masks, used
from covidseg.report.rounds import rounds
from covidseg.report.scoreboard import CLAIMS, COLUMNS, scoreboard
from covidseg.report.svg import canvas, embedded
from covidseg.tables import rows
from covidseg.tables.caption import differences
from covidseg.templates import render


def write(plan: Plan) -> None:
    """Write the report and ``metrics.json``, which DVC compares between commits."""
    # DVC wants them to be there even when the configuration asks for none
    for name in ("tables", "figures", "leaks", "claims", "masks"):
        (plan.paths.results / name).mkdir(parents=True, exist_ok=True)
    papers = [_paper(plan, name) for name in plan.config.papers]
    page = render(
        "report.html.j2",
        mode=plan.config.mode,
        preset=plan.preset_name,
        about=plan.preset.about,
        config=plan.source,
        papers=papers,
        boards=scoreboard(plan),
        verdicts=COLUMNS,
        claim_verdicts=CLAIMS,
        limits=differences(plan, [plan.run(run) for run in plan.targets.runs()]),
        data=_data_in_words(plan),
        rounds=rounds(plan),
        runs=_runs(plan),
        used=used.used(plan),
        much=used.MUCH,
        little=used.LITTLE,
        worth=used.WORTH,
        leaks=[_leaks(plan, *checked) for checked in plan.graph.leak_sets()],
        datasets=[_dataset(plan, name) for name in plan.graph.all_datasets()],
    )
    write_text(plan.paths.report, page)
    write_json(plan.paths.results / "metrics.json", metrics(plan))
    write_text(plan.paths.results / "plots.csv", plots(plan).to_csv(index=False, float_format="%.6f"))
    write_text(plan.paths.results / "tables.md", all_tables(plan))
    made = [plan.paths.report, *(plan.paths.results / name for name in ("metrics.json", "plots.csv", "tables.md"))]
    records.write(plan.paths.report.with_suffix(".json"), made)


def _data_in_words(plan: Plan) -> list[str]:
    """Return what was read in place of what, and which folds and seeds were made."""
    config = plan.config
    folds = "all folds" if config.folds == "all" else f"folds {', '.join(map(str, config.folds))}"
    if config.folds == "all" and plan.preset.folds:
        folds = f"at most {plan.preset.folds} folds a split"
    stand_ins = [f"{new} stands in for {old}" for old, new in config.stand_ins.items()]
    return [*stand_ins, f"{folds}, seeds {', '.join(map(str, config.seeds))}"]


def metrics(plan: Plan) -> dict[str, Any]:
    """Return paper -> table -> run (``run:class`` where rows share it) -> column -> our value, of tables of scores."""
    out: dict[str, Any] = {}
    for paper, name, table in plan.targets.tables():
        if table.scored_by:
            frame = rows.read(plan.paths.table(paper, name, "csv"))
            own = frame.assign(key=rows.keys(frame))[(frame.protocol == table.scored_by) & frame.ours.notna()]
            for line in own.itertuples():
                where = out.setdefault(paper, {}).setdefault(f"table {name}", {}).setdefault(str(line.key), {})
                where[str(line.column)] = line.ours
    return out


def plots(plan: Plan) -> pd.DataFrame:
    """Return row, printed and ours of every table of scores, in its first column only: others have other units."""
    frames = []
    for paper, name, table in plan.targets.tables():
        if table.scored_by:
            frame = rows.read(plan.paths.table(paper, name, "csv"))
            frame = frame[(frame.protocol == table.scored_by) & (frame.column == table.headings[0])]
            row = f"{paper} {name}: " + rows.titles(frame)
            frames.append(frame.assign(row=row)[["row", "column", "printed", "ours"]])
    return pd.concat(frames) if frames else pd.DataFrame(columns=["row", "column", "printed", "ours"])


def all_tables(plan: Plan) -> str:
    """Return every table in Markdown with its caption, for a repository to show."""
    out = []
    for paper, name, table in plan.targets.tables():
        path = plan.paths.table(paper, name, "md")
        text = records.verified(path, path.with_suffix(".json")).read_text("utf-8")
        out.append(f"## {paper}, table {name}: {table.caption}\n\n{text}")
    return f"# Tables, mode {plan.config.mode}, preset {plan.preset_name}\n\n" + "\n".join(out)


def _paper(plan: Plan, name: str) -> dict[str, Any]:
    paper = plan.papers[name]
    tables = []
    for owner, table_name, table in plan.targets.tables():
        if owner == name:
            chart = spread_chart(plan, name, table_name) if table.scored_by else None
            body = _body(plan.paths.table(name, table_name, "html"))
            tables.append({"name": table_name, "title": table.caption, "body": body, "chart": chart})
    figures = [
        {
            "name": figure,
            "caption": caption_of(plan, name, figure),
            "png": _embed(plan.paths.figure(name, figure, "png")),
        }
        for owner, figure, _ in plan.targets.figures()
        if owner == name
    ]
    return {
        "name": name,
        "head": paper.paper,
        "tables": tables,
        "figures": figures,
        "claims": _body(plan.paths.claims(name, "html")) if name in plan.targets.claims() else None,
        "masks": [masks.section(plan, one) for one in plan.targets.paper_masks(name)],
        "deviations": paper.deviations,
    }


def _body(path: Path) -> str:
    with records.parsing(path):
        page = records.verified(path, path.with_suffix(".json")).read_text("utf-8")
        page.index("<body>")
    return page.split("<body>", 1)[1].rsplit("</body>", 1)[0]


def spread_chart(plan: Plan, paper: str, name: str) -> str:
    """Return an SVG of the table's first column: printed as a diamond, ours as a dot with its spread."""
    table = plan.papers[paper].tables[name]
    column = table.headings[0]
    frame = rows.read(plan.paths.table(paper, name, "csv"))
    frame = frame[(frame.protocol == table.scored_by) & (frame.column == column)].iloc[::-1]
    drawing, ((axis,),) = canvas(1, 1, (7.5, 0.32 * len(frame) + 0.9))
    y = range(len(frame))
    axis.errorbar(frame.ours, y, xerr=frame.sd.fillna(0), fmt="o", color="#1f5fbf", capsize=3, label="ours, ± sd")
    axis.plot(frame.printed, y, "D", color="#d9822b", label="printed", markerfacecolor="none")
    axis.set_yticks(list(y), rows.titles(frame))
    axis.set_ylim(-0.6, len(frame) - 0.4)
    axis.set_xlabel(column)
    axis.grid(axis="x", alpha=0.3)
    axis.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False, fontsize=9)
    return embedded(drawing)


def _embed(path: Path) -> str:
    return base64.b64encode(records.verified(path, path.with_suffix(".json")).read_bytes()).decode()


def _runs(plan: Plan) -> list[dict[str, Any]]:
    """Return a line per run: what it is, what it cost, where its record lies."""
    lines = []
    for run_id in plan.graph.all_runs():
        run = plan.run(run_id)
        made = [record.read(plan.paths.job(run_id, *job) / "run.json") for job in run.jobs]
        notes = dict.fromkeys(note for facts in made for note in facts.get("notes", []))
        lines.append(
            {
                "run": run_id,
                "net": run.spec.net.get("name", "–"),
                "parameters": made[0]["parameters"],
                "dataset": run.spec.dataset,
                "folds": len(run.folds),
                "seeds": len(run.seeds),
                "epochs": run.epochs_in_words or "–",
                "best": ", ".join("–" if facts["best_epoch"] is None else str(facts["best_epoch"]) for facts in made),
                "val": ", ".join(
                    f"{facts['val_dsc']:.3f}" if facts.get("val_dsc") is not None else "–" for facts in made
                ),
                "seconds": sum(facts["wall_seconds"] for facts in made),
                "device": ", ".join(dict.fromkeys(str(facts["device"]) for facts in made)),
                "notes": "; ".join(notes),
                "folder": str(plan.paths.run(run_id)),
                "history": history_chart(plan, run_id),
            }
        )
    return lines


def history_chart(plan: Plan, run_id: str) -> str:
    """Return an inline SVG polyline of validation DSC by epoch, one line per fold and seed."""
    width, height = 150, 34
    lines = []
    for job in plan.run(run_id).jobs:
        with open(plan.paths.job(run_id, *job) / "history.csv", encoding="utf-8", newline="") as f:
            values = [float(row["val_dsc"]) for row in csv.DictReader(f) if row.get("val_dsc")]
        if len(values) > 1:
            step = width / (len(values) - 1)
            points = " ".join(f"{i * step:.1f},{height - 1 - v * (height - 2):.1f}" for i, v in enumerate(values))
            lines.append(f'<polyline points="{points}" fill="none" stroke="#1f5fbf" stroke-opacity=".6"/>')
    frame = f'<rect width="{width}" height="{height}" fill="#f6f8fa"/>'
    return f'<svg width="{width}" height="{height}" role="img">{frame}{"".join(lines)}</svg>'


def _leaks(plan: Plan, dataset: str, split: str) -> dict[str, Any]:
    """Return a leak check's summary, and where its list lies."""
    facts = records.read(plan.paths.leaks(dataset, split, "json"))
    return facts | {"file": str(plan.paths.leaks(dataset, split, "csv"))}


def _dataset(plan: Plan, name: str) -> dict[str, Any]:
    dataset = plan.dataset(name)
    cases = [row["case"] for row in read_table(plan.paths.canonical(name) / "slices.csv")]
    return {
        "name": name,
        "title": dataset.title + (" (phantom twin)" if plan.config.mode == "demo" else ""),
        "licence": dataset.licence if plan.config.mode == "paper" else "generated here",
        "cases": len({*cases}),
        "slices": len(cases),
        "lungs": plan.catalogue.lungs_in_words(name),
    }
