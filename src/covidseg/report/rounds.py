"""The rounds of self-training: a line per round of every training, and how validation and agreement went."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from covidseg.jobs import record
from covidseg.plan import Plan
from covidseg.report.svg import SERIES, Panel

PANELS = {"val_dsc": "validation DSC", "agreement": "DSC of pseudo labels"}


def rounds(plan: Plan) -> dict[str, Any] | None:
    """Return the lines and the charts of all runs that have rounds, or None where there is none."""
    lines = []
    for run_id in plan.targets.runs():
        for fold, seed in plan.run(run_id).jobs:
            made = record.read(plan.paths.job(run_id, fold, seed) / "run.json")
            for facts in made.get("rounds", []):
                shares = _by_class(facts.get("class_pixels"), sum((facts.get("class_pixels") or {}).values()))
                lines.append(
                    {
                        **facts,
                        "run": run_id,
                        "fold": fold,
                        "seed": seed,
                        "shares": shares,
                        "weights": _by_class(facts.get("class_weights")),
                        "trusted": None if facts.get("untrusted") is None else 1 - facts["untrusted"],
                    }
                )
    if not lines:
        return None
    runs = list(dict.fromkeys(line["run"] for line in lines))
    return {"lines": lines, "charts": charts(lines, runs), "runs": [(k % SERIES, run) for k, run in enumerate(runs)]}


def _by_class(values: dict[str, float] | None, total: float = 1) -> str:
    return ", ".join(f"{name} {value / total if total else 0:.3f}" for name, value in (values or {}).items())


def charts(lines: list[dict[str, Any]], runs: list[str]) -> list[str]:
    """Return a chart per quantity: its mean over folds and seeds by round, a line per run."""
    out = []
    for key, title in PANELS.items():
        found = [(k, mean_by_round(line for line in lines if line["run"] == run), run) for k, run in enumerate(runs)]
        series = [(k, points[key]) for k, points, _ in found if points.get(key)]
        if series:
            out.append(Panel(title, "round", lines=series, dots=series, whole=True).svg(360, 200))
    return out


def mean_by_round(lines: Iterable[dict[str, Any]]) -> dict[str, list[tuple[float, float]]]:
    """Return quantity -> (round, mean over folds and seeds), of the rounds that have a value."""
    values: dict[str, dict[int, list[float]]] = {}
    for line in lines:
        for key in PANELS:
            if line.get(key) is not None:
                values.setdefault(key, {}).setdefault(line["round"], []).append(line[key])
    return {key: [(k, sum(v) / len(v)) for k, v in sorted(of.items())] for key, of in values.items()}
