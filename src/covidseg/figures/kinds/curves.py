"""Curves: columns of the training history of several runs over epochs, one panel a column."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from covidseg.schema.base import RunId
from covidseg.schema.exhibit import Figure, Job, Reads

if TYPE_CHECKING:
    from pathlib import Path

    from covidseg.plan import Plan
    from covidseg.plan.targets import Targets

COLUMNS = 2  # panels side by side
PANEL = (3.5, 2.3)  # inches
COLOURS = ("#1f5fbf", "#d9822b", "#2a9d5b", "#b03a8a", "#6a7681", "#c0392b", "#0f9bb3", "#8a6d00")
LINES = ("-", "--", "-.", ":")


class CurvesFigure(Figure):
    """A thin line for each fold and seed of a run, and their mean as a thick one."""

    kind: Literal["curves"]
    runs_: dict[str, RunId] = Field(min_length=1, alias="runs", description="Label in the legend -> run.")
    columns: dict[str, str] = Field(
        {"Validation DSC": "val_dsc"}, min_length=1, description="Title of a panel -> column of history.csv."
    )
    log: bool = Field(False, description="A logarithmic scale, but for columns that hold zero.")

    @property
    def runs(self) -> list[str]:
        """Return the runs."""
        return list(self.runs_.values())

    def jobs(self, targets: Targets, paper: str) -> list[Job]:
        """Return every training."""
        return [(run, *job) for run in self.run_ids(paper) for job in targets.resolver.run(run).jobs]

    def reads(self, targets: Targets, paper: str) -> Reads:
        """Return the histories."""
        return Reads(histories=tuple(self.jobs(targets, paper)), records=tuple(self.jobs(targets, paper)))

    def decides(self, targets: Targets, paper: str) -> list[Any]:
        """Return what the caption says of the runs."""
        return [targets.resolver.caveats(targets.resolver.run(run)) for run in self.run_ids(paper)]

    def words(self, plan: Plan, paper: str, name: str) -> list[str]:
        """Return what a line is, mode, preset, and what differs from the paper."""
        from covidseg.tables.caption import differences

        return [
            "Thin: each fold and seed; thick: their mean over the epochs that all have",
            f"Mode {plan.config.mode}, preset {plan.preset_name}",
            *differences(plan, [plan.run(run) for run in self.run_ids(paper)]),
        ]

    def draw(self, plan: Plan, paper: str) -> Any:
        """Return the drawing. Raises NothingToShowError where no history has any of the columns."""
        from covidseg.base.files import need
        from covidseg.figures.page import NothingToShowError, note
        from covidseg.plan.names import qualified

        found: dict[str, dict[str, list[Line]]] = {}
        for label, name in self.runs_.items():
            run = qualified(paper, name)
            for fold, seed in plan.run(run).jobs:
                path = plan.paths.job(run, fold, seed) / "history.csv"
                history = read(need(path, f"train {run} --fold {fold} --seed {seed}"))
                for title, column in self.columns.items():
                    if line := history.get(column):
                        found.setdefault(title, {}).setdefault(label, []).append(line)
        if not found:
            raise NothingToShowError(f"no history has a column {' or '.join(self.columns.values())}")
        return _draw(self, found, note(plan))


Line = list[tuple[int, float]]  # epoch, value


def read(path: Path) -> dict[str, Line]:
    """Return column -> (epoch, value) of a history, of the epochs that have a value. Raises UserError."""
    from covidseg.base import csvfile, records

    found: dict[str, Line] = {}
    with records.parsing(path):
        for row in csvfile.read(records.verified(path, "run.json"), lambda column: int if column == "epoch" else float):
            epoch = row.pop("epoch")
            for column, value in row.items():
                if not math.isnan(value):
                    found.setdefault(column, []).append((epoch, value))
    return found


def mean(lines: list[Line]) -> Line:
    """Return the mean of several lines at the epochs that all of them have."""
    values = [dict(line) for line in lines]
    common = sorted(set.intersection(*(set(line) for line in values)))
    return [(epoch, sum(line[epoch] for line in values) / len(values)) for epoch in common]


def _draw(figure: CurvesFigure, found: dict[str, dict[str, list[Line]]], note: str) -> Any:
    from covidseg.base.text import legend
    from covidseg.figures.page import TEXT, TITLE, in_our_look

    @in_our_look
    def drawn() -> Any:
        from matplotlib.figure import Figure as Drawing

        across = min(COLUMNS, len(found))
        down = -(-len(found) // across)
        drawing = Drawing(figsize=(PANEL[0] * across, PANEL[1] * down + 0.5), layout="constrained")
        axes = drawing.subplots(down, across, squeeze=False).ravel()
        for axis in axes[len(found) :]:
            axis.set_visible(False)
        labels = list(figure.runs_)
        handles: dict[str, Any] = {}
        for axis, (title, runs) in zip(axes, found.items(), strict=False):
            for label, lines in runs.items():
                k = labels.index(label)
                look = {"color": COLOURS[k % len(COLOURS)], "linestyle": LINES[k // len(COLOURS) % len(LINES)]}
                dot = "." if max(map(len, lines)) < 2 else ""
                for line in lines if len(lines) > 1 else []:
                    axis.plot(*zip(*line, strict=True), linewidth=0.5, alpha=0.45, marker=dot, **look)
                if whole := mean(lines):
                    (handles[label],) = axis.plot(*zip(*whole, strict=True), linewidth=1.5, marker=dot, **look)
            axis.set_title(title, fontsize=TITLE)
            axis.set_xlabel("epoch", fontsize=TEXT)
            axis.tick_params(labelsize=TEXT)
            axis.grid(alpha=0.3)
            axis.spines[["top", "right"]].set_visible(False)
            values = [value for lines in runs.values() for line in lines for _, value in line]
            if figure.log and min(values) > 0:
                axis.set_yscale("log")
                axis.yaxis.set_major_formatter("{x:g}")  # matplotlib's own is a formula, and text is drawn as it is
                axis.yaxis.set_minor_formatter("")
        legend(drawing, handles, loc="outside lower center", fontsize=TEXT, ncols=4, frameon=False)
        if note:
            drawing.suptitle(note, fontsize=TEXT, style="italic")
        return drawing

    return drawn()
