"""The rounds of self-training: a line per round of every training, and how validation and agreement went."""

from __future__ import annotations

from typing import Any

from covidseg.jobs import record
from covidseg.plan import Plan
from covidseg.report.svg import canvas, embedded

PANELS = {"val_dsc": "validation DSC", "agreement": "DSC of pseudo labels"}


def rounds(plan: Plan) -> dict[str, Any] | None:
    """Return the lines and the chart of all runs that have rounds, or None where there is none."""
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
    return {"lines": lines, "chart": chart(lines)} if lines else None


def _by_class(values: dict[str, float] | None, total: float = 1) -> str:
    return ", ".join(f"{name} {value / total if total else 0:.3f}" for name, value in (values or {}).items())


def chart(lines: list[dict[str, Any]]) -> str:
    """Return an SVG with a panel per quantity: its mean over folds and seeds by round, a line per run."""
    import pandas as pd

    frame = pd.DataFrame(lines)
    shown = {key: title for key, title in PANELS.items() if key in frame and frame[key].notna().any()}
    drawing, axes = canvas(1, len(shown) or 1, (4.2 * (len(shown) or 1) + 1.6, 3.0))
    for axis, (key, title) in zip(axes[0], shown.items(), strict=False):
        for k, (run, part) in enumerate(frame.groupby("run", sort=False)):
            means = part.groupby("round")[key].mean().dropna()
            axis.plot(means.index, means, marker="osD^vP*X"[k % 8], markersize=4, linewidth=1.2, label=run)
        axis.set_xlabel("round")
        axis.set_xticks(sorted(frame["round"].unique()))
        axis.set_title(title, fontsize=10)
        axis.grid(alpha=0.3)
    axes[0][-1].legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False, fontsize=8)
    return embedded(drawing)
