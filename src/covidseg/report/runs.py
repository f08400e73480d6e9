"""The runs: what each is, what it cost, where its record lies, and its learning curves."""

from __future__ import annotations

from typing import Any

from covidseg.figures.kinds.curves import Line, read
from covidseg.jobs import record
from covidseg.plan import Plan
from covidseg.report.svg import Panel
from covidseg.tables.page import slug

RATE, VALIDATION = "lr", "val_dsc"
TITLES = {
    VALIDATION: "validation DSC",
    RATE: "learning rate",
    "semi": "loss on unlabelled slices",
    "adversarial": "adversarial loss",
    "discriminator": "loss of the discriminator",
    "trusted": "share of trusted pixels",
    "codes": "codes of the book in use",
}


def curves(plan: Plan, run_id: str) -> list[str]:
    """Return a chart per column of the histories, a line per fold and seed; a panel for all losses is not needed, as
    their scales differ. Empty for a run that has no epochs.
    """
    found: dict[str, list[Line]] = {}
    for job in plan.run(run_id).jobs:
        history = read(plan.paths.job(run_id, *job) / "history.csv")
        for column, line in history.items():
            found.setdefault(column, []).append(line)
    order = sorted(found, key=lambda column: (column != VALIDATION, column == RATE))
    return [_chart(column, found[column]) for column in order]


def _chart(column: str, lines: list[Line]) -> str:
    title = TITLES.get(column, f"{column.replace('_', ' ')} loss")
    return Panel(title, "epoch", lines=list(enumerate(lines)), whole=True).svg(280, 150)


def table(plan: Plan) -> list[dict[str, Any]]:
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
                "slug": slug(run_id),
                "method": run.spec.train.method,
                "charts": curves(plan, run_id),
            }
        )
    return lines
