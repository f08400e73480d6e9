"""Figures of what each method segmented on test slices: slices by rows; CT, methods and truth by columns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from covidseg.schema.base import Count, RunId, Strict
from covidseg.schema.exhibit import Figure, Job, Reads

if TYPE_CHECKING:
    from covidseg.plan import Plan, Run
    from covidseg.plan.targets import Targets


class Group(Strict):
    """Rows of a qualitative figure: slices of one data set with the same runs."""

    label: str = Field("", description="Stands beside the rows.")
    runs: dict[str, RunId] = Field(min_length=1, description="Column heading -> run.")
    slices: int = Field(2, ge=1, le=20)
    fold: Count = 0

    def jobs(self, targets: Targets, paper: str) -> dict[str, tuple[Run, int, int]]:
        """Return column heading -> run, fold and seed; where the group's fold is not made, it is the first one made."""
        from covidseg.plan.names import qualified

        runs = {heading: targets.resolver.run(qualified(paper, run)) for heading, run in self.runs.items()}
        folds = next(iter(runs.values())).folds
        fold = self.fold if self.fold in folds else folds[0]
        return {heading: (run, fold, run.seeds[0]) for heading, run in runs.items()}


class QualitativeFigure(Figure):
    """Slices by rows; CT, methods and truth by columns."""

    kind: Literal["qualitative"] = "qualitative"
    groups: list[Group] = Field(min_length=1)
    shares: bool = Field(False, description="A last column of bars: each class's share of the slice.")

    @property
    def runs(self) -> list[str]:
        """Return the runs of all groups."""
        return [run for group in self.groups for run in group.runs.values()]

    def check(self, targets: Targets, paper: str, where: str) -> None:
        """Check runs, and that those of a group have the same test slices. Raises UserError."""
        from covidseg.base.errors import UserError
        from covidseg.plan.names import qualified

        super().check(targets, paper, where)
        for k, group in enumerate(self.groups):
            specs = [targets.resolver.run(qualified(paper, run)).spec for run in group.runs.values()]
            if len({(spec.dataset, spec.split, *spec.classes) for spec in specs}) > 1:
                raise UserError(
                    f"{where}.groups.{k}.runs: their data set, split or classes differ; make a group of each"
                )

    def jobs(self, targets: Targets, paper: str) -> list[Job]:
        """Return every training whose predictions are shown."""
        jobs = [job for group in self.groups for job in group.jobs(targets, paper).values()]
        return list(dict.fromkeys((run.id, fold, seed) for run, fold, seed in jobs))

    def reads(self, targets: Targets, paper: str) -> Reads:
        """Return the predictions."""
        return Reads(predictions=tuple(self.jobs(targets, paper)))

    def words(self, plan: Plan, paper: str, name: str) -> list[str]:
        """Return data, the rule that chose the slices, mode, preset, and what differs from the paper."""
        from covidseg.figures.qualitative import RULE
        from covidseg.tables.caption import differences

        data = []
        for group in self.groups:
            run, fold, seed = next(iter(group.jobs(plan.targets, paper).values()))
            label = f"{group.label}: " if group.label else ""
            data.append(f"{label}{run.spec.dataset}, split {run.spec.split}, fold {fold}, seed {seed}")
        return [
            f"Data: {'; '.join(data)}",
            f"Slices: {RULE}",
            "Dice is a slice's mean over its classes, 1 for one neither there nor found",
            "The box marks the largest region where the methods disagree",
            *(["Bars: each class's share of the slice"] if self.shares else []),
            f"Mode {plan.config.mode}, preset {plan.preset_name}",
            *differences(plan, [plan.run(run) for run in self.run_ids(paper)]),
        ]

    def draw(self, plan: Plan, paper: str) -> Any:
        """Return the drawing."""
        from covidseg.figures import page, qualitative

        return page.draw(qualitative.rows(plan, paper, self), self.shares, page.note(plan))
