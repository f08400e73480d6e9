"""Box plots: the scores of the tested cases (or slices) by run, one panel a metric."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from covidseg.schema.base import Finite, Name, RunId, ShownClass
from covidseg.schema.exhibit import Figure, Reads

if TYPE_CHECKING:
    import pandas as pd

    from covidseg.plan import Plan
    from covidseg.plan.targets import Targets

COLUMNS = 3  # panels side by side
FEW = 50  # cases that are drawn larger
PANEL = (2.35, 2.1)  # inches: width at most, height
STANDING = 5  # boxes side by side in a panel; more lie below one another
LYING = 0.24  # inches for each of these
OURS, PRINTED = "#1f5fbf", "#d9822b"


class BoxesFigure(Figure):
    """A box a run: median, quartiles, whiskers to 1.5 interquartile ranges, and every case as a dot."""

    kind: Literal["boxes"]
    runs_: dict[str, RunId] = Field(min_length=1, alias="runs", description="Label below the box -> run.")
    protocol: Name
    metrics: dict[str, str] = Field(min_length=1, description="Title of a panel -> metric of the protocol.")
    cls: ShownClass = None
    unit: Literal["case", "slice"] = Field("case", description="What a dot is.")
    medians: dict[str, dict[str, Finite]] = Field(
        {}, description="Title of a panel -> label of a run -> the printed median, drawn as a diamond."
    )
    above: dict[str, Finite] = Field(
        {}, description="Title of a panel -> what the paper says the median lies above, drawn as a dashed line."
    )

    @property
    def runs(self) -> list[str]:
        """Return the runs, box by box."""
        return list(self.runs_.values())

    @property
    def protocols(self) -> dict[str, list[str]]:
        """Return the figure's protocol for each of its runs."""
        return {run: [self.protocol] for run in self.runs}

    def check(self, targets: Targets, paper: str, where: str) -> None:
        """Check protocol, metrics, runs, class, and the panels and runs that printed numbers name. Raises UserError."""
        from covidseg.plan.names import check_known

        super().check(targets, paper, f"{where}.runs")
        targets.catalogue.check_protocol(self.protocol, f"{where}.protocol")
        check_known(self.metrics.values(), targets.catalogue.protocol(self.protocol).metrics, f"{where}.metrics")
        check_known([*self.medians, *self.above], self.metrics, f"{where}: printed panels")
        for panel, printed in self.medians.items():
            check_known(printed, self.runs_, f"{where}.medians.{panel}")
        for run in self.run_ids(paper):
            if self.cls:
                check_known([self.cls], targets.resolver.run(run).spec.classes, f"{where}.class")

    def reads(self, targets: Targets, paper: str) -> Reads:
        """Return the runs' scores and records."""
        runs = self.run_ids(paper)
        jobs = [(run, *job) for run in runs for job in targets.resolver.run(run).jobs]
        return Reads(scores=tuple(runs), records=tuple(jobs))

    def decides(self, targets: Targets, paper: str) -> list[Any]:
        """Return what the caption says of the runs, and the titles of the metrics."""
        caveats = [targets.resolver.caveats(targets.resolver.run(run)) for run in self.run_ids(paper)]
        return [caveats, targets.catalogue.protocol(self.protocol).model_dump(mode="json")]

    def words(self, plan: Plan, paper: str, name: str) -> list[str]:
        """Return what a box and a dot are, what is marked, mode, preset, and what differs from the paper."""
        from covidseg.tables.caption import differences

        metrics = plan.catalogue.protocol(self.protocol).metrics
        dot = "test case" if self.unit == "case" else "test slice"
        return [
            f"A dot is the score of one {dot} under protocol {self.protocol}, one a fold and seed; "
            "box: quartiles and median, whiskers: the last dots within 1.5 interquartile ranges",
            *(f"{title} is {metrics[key].title}" for title, key in self.metrics.items() if title != metrics[key].title),
            *(["Diamond: the median that the paper prints"] if self.medians else []),
            *(["Dashed: the paper says that the median lies above"] if self.above else []),
            f"Mode {plan.config.mode}, preset {plan.preset_name}",
            *differences(plan, [plan.run(run) for run in self.run_ids(paper)]),
        ]

    def scores(self, plan: Plan, paper: str) -> dict[str, pd.DataFrame]:
        """Return label -> the metrics of every dot, the mean over classes where no class is named. Raises UserError."""
        from covidseg.plan.names import qualified
        from covidseg.tables.results import TESTED, run_scores

        found = {}
        for label, run in self.runs_.items():
            frame = run_scores(plan, plan.run(qualified(paper, run)), self.protocol, self.unit, self.cls)
            keys = [*TESTED, "seed"]
            found[label] = frame.fillna({"slice": ""}).groupby(keys)[list(self.metrics.values())].mean()
        return found

    def draw(self, plan: Plan, paper: str) -> Any:
        """Return the drawing. Raises NothingToShowError where no run has a score."""
        from covidseg.figures.page import NothingToShowError, note

        found = self.scores(plan, paper)
        if not any(len(frame) for frame in found.values()):
            raise NothingToShowError("no tested case has a score")
        return _draw(self, found, note(plan))


def _draw(figure: BoxesFigure, found: dict[str, pd.DataFrame], note: str) -> Any:
    """Return the drawing: boxes stand side by side, more than ``STANDING`` lie below one another."""
    import numpy as np

    from covidseg.figures.page import TEXT, TITLE, in_our_look, wrap

    lie = len(found) > STANDING
    panel = (PANEL[0], LYING * len(found)) if lie else PANEL

    def place(across: Any, up: Any) -> tuple[Any, Any]:
        """Return x and y of what stands at ``across`` and has the score ``up``."""
        return (up, across) if lie else (across, up)

    @in_our_look
    def drawn() -> Any:
        from matplotlib.figure import Figure as Drawing

        across = min(COLUMNS, len(figure.metrics))
        down = -(-len(figure.metrics) // across)
        drawing = Drawing(figsize=(panel[0] * across + 0.2, (panel[1] + 0.35) * down + 0.2), layout="constrained")
        axes = drawing.subplots(down, across, squeeze=False, sharey=lie).ravel()
        for axis in axes[len(figure.metrics) :]:
            axis.set_visible(False)
        at = {label: k + 1 for k, label in enumerate(found)}
        names = list(found) if lie else [wrap(label, 0.95 * panel[0] / max(2, len(found)), TEXT) for label in found]
        for axis, (title, metric) in zip(axes, figure.metrics.items(), strict=False):
            values = [frame[metric].dropna().to_numpy() for frame in found.values()]
            axis.boxplot(
                values,
                widths=0.5,
                showfliers=False,
                medianprops={"color": OURS, "linewidth": 2, "zorder": 4},
                manage_ticks=False,
                orientation="horizontal" if lie else "vertical",
            )
            for x, dots in zip(at.values(), values, strict=True):
                aside = 0.16 * np.cos(np.arange(len(dots)) * 2.4)  # the same spread each time
                look = {"alpha": 0.35, "markersize": 3} if len(dots) > FEW else {"alpha": 0.7, "markersize": 6}
                axis.plot(*place(x + aside, dots), ".", color=OURS, markeredgewidth=0, zorder=3, **look)
            for label, value in figure.medians.get(title, {}).items():
                axis.plot(*place([at[label]], [value]), "D", color=PRINTED, markerfacecolor="none", markersize=6)
            if title in figure.above:
                line = axis.axvline if lie else axis.axhline
                line(figure.above[title], color=PRINTED, linestyle="--", linewidth=1)
            axis.set_title(title, fontsize=TITLE)
            if lie:
                axis.set_ylim(len(found) + 0.6, 0.4)  # the first on top
                axis.set_yticks(list(at.values()), names, fontsize=TEXT)
            else:
                axis.set_xlim(0.4, len(found) + 0.6)
                axis.set_xticks(list(at.values()), names, fontsize=TEXT - (len(found) > 4))
            axis.tick_params(axis="x" if lie else "y", labelsize=TEXT)
            axis.grid(axis="x" if lie else "y", alpha=0.3)
            axis.spines[["top", "right"]].set_visible(False)
        if note:
            drawing.supxlabel(note, fontsize=TEXT, style="italic")
        return drawing

    return drawn()
