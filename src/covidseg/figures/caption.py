"""Captions of figures: the paper's in our words, data, mode, preset, and the rule that chose the slices."""

from __future__ import annotations

from covidseg.figures import examples, qualitative
from covidseg.plan import Plan
from covidseg.schema import ExamplesFigure, QualitativeFigure
from covidseg.tables.caption import differences


def caption_of(plan: Plan, paper: str, name: str) -> str:
    """Return a figure's caption."""
    figure = plan.papers[paper].figures[name]
    said = _examples(plan, figure) if isinstance(figure, ExamplesFigure) else _qualitative(plan, paper, name, figure)
    return " ".join(part.rstrip(".") + "." for part in [figure.caption, *said])


def _examples(plan: Plan, figure: ExamplesFigure) -> list[str]:
    used = {group.dataset: plan.catalogue.stands_for(group.dataset) for group in figure.groups}
    rules: dict[str, list[str]] = {}
    for group in figure.groups:
        rules.setdefault(examples.rule(group.classes, group.slices), []).append(used[group.dataset])
    return [
        *(f"Slices of {', '.join(names)}: {rule}" for rule, names in rules.items()),
        "Bars: each class's share of the slice",
        f"Mode {plan.config.mode}" + (", phantom CT, not patients" if plan.config.mode == "demo" else ""),
        *(f"{new} stands in for {old}" for old, new in used.items() if new != old),
    ]


def _qualitative(plan: Plan, paper: str, name: str, figure: QualitativeFigure) -> list[str]:
    data = []
    for group in figure.groups:
        run, fold, seed = next(iter(plan.targets.group_jobs(paper, group).values()))
        label = f"{group.label}: " if group.label else ""
        data.append(f"{label}{run.spec.dataset}, split {run.spec.split}, fold {fold}, seed {seed}")
    return [
        f"Data: {'; '.join(data)}",
        f"Slices: {qualitative.RULE}",
        "Dice is a slice's mean over its classes, 1 for one neither there nor found",
        "The box marks the largest region where the methods disagree",
        *(["Bars: each class's share of the slice"] if figure.shares else []),
        f"Mode {plan.config.mode}, preset {plan.preset_name}",
        *differences(plan, [plan.run(run) for run in dict.fromkeys(plan.targets.figure_runs(paper, name))]),
    ]
