"""How each number was made, for the page that opens on a number: means of every fold and seed, records, commands."""

from __future__ import annotations

import json
from typing import Any

import pandas as pd

from covidseg.base import csvfile, records
from covidseg.jobs import record
from covidseg.plan import Plan
from covidseg.tables import rows
from covidseg.tables.results import TEXT

ALL = "average"  # of the classes of a run, as a table's rows name it


def made(plan: Plan, paper: str) -> dict[str, Any]:
    """Return what a paper's tables need: run -> its trainings and means, table -> row -> words where no run has it."""
    runs: dict[str, Any] = {}
    words: dict[str, dict[str, list[str]]] = {}
    for owner, name, table in plan.targets.tables():
        if owner != paper:
            continue
        for run in table.wanted_runs(plan.targets, paper) if table.scored_by else ():
            runs.setdefault(run, _run(plan, run))
        if not table.scored_by:
            frame = rows.read(plan.paths.table(paper, name, "csv"))
            firsts = frame.drop_duplicates(subset="row")
            words[name] = {str(cell.row): table.origin(plan, cell) for cell in firsts.itertuples()}
    return {"runs": runs, "words": words}


def _run(plan: Plan, run_id: str) -> dict[str, Any]:
    run = plan.run(run_id)
    folders = [plan.paths.job(run_id, *job) for job in run.jobs]
    facts = [record.read(folder / record.RUN) for folder in folders]
    return {
        "cases": str(plan.paths.run(run_id) / "cases.csv"),
        "score": f"covidseg --config {plan.source} score {run_id}",
        "net": json.dumps(run.net),
        "jobs": [
            {"fold": fold, "seed": seed, "record": str(folder / record.RUN), "command": made["command"]}
            for (fold, seed), folder, made in zip(run.jobs, folders, facts, strict=True)
        ],
        "means": means(plan, run_id),
    }


def means(plan: Plan, run_id: str) -> dict[str, dict[str, dict[str, list[float | None]]]]:
    """Return protocol -> class -> metric -> the mean of each training, over what the protocol counts."""
    run, path = plan.run(run_id), plan.paths.run(run_id) / "cases.csv"
    with records.parsing(path):
        frame = csvfile.frame(records.verified(path, "summary.json"), TEXT)
    out: dict[str, Any] = {}
    for protocol in plan.targets.protocols(run_id):
        known = plan.catalogue.protocol(protocol)
        part = frame[(frame.protocol == protocol) & (frame.unit == known.unit)]
        for cls in dict.fromkeys([*part["class"], ALL]):
            chosen = part if cls == ALL else part[part["class"] == cls]
            found = chosen.groupby(["fold", "seed"])[[m for m in known.metrics if m in chosen]].mean().reindex(run.jobs)
            for metric in found:
                values = [None if pd.isna(value) else float(f"{value:.5g}") for value in found[metric]]
                out.setdefault(protocol, {}).setdefault(cls, {})[str(metric)] = values
    return out
