"""Figures of what each method segmented on test slices: slices by rows; CT, methods and truth by columns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, model_validator

from covidseg.schema.base import Count, Name, RunId, Strict
from covidseg.schema.exhibit import Figure, Job, Reads

if TYPE_CHECKING:
    from covidseg.plan import Plan, Run
    from covidseg.plan.targets import Targets


class MapColumn(Strict):
    """A column that shows a map of a run: an array beside ``prob`` in its predictions."""

    run: RunId
    map: Name = Field(description="The array's name in predictions.h5: uint8 (slices, rows, columns).")
    grey: bool = Field(False, description="As a picture, a reconstruction for one; else from dark to bright, as heat.")


class Group(Strict):
    """Rows of a qualitative figure: slices of one data set with the same runs."""

    label: str = Field("", description="Stands beside the rows.")
    runs: dict[str, RunId | MapColumn] = Field(
        min_length=1, description="Column heading -> run, or {run, map} for one of its maps."
    )
    slices: int = Field(2, ge=1, le=20)
    fold: Count = 0
    pick: Literal["differ", "small"] = Field(
        "differ",
        exclude_if=lambda pick: pick == "differ",
        description="Which slices: those on which the methods differ most, or those with the smallest true area.",
    )

    @model_validator(mode="after")
    def _some_masks(self) -> Group:
        if len(self.maps) == len(self.runs):
            raise ValueError("runs: at least one column shows masks; add the run itself")
        return self

    @property
    def maps(self) -> dict[str, MapColumn]:
        """Return the columns that show maps."""
        return {heading: shown for heading, shown in self.runs.items() if isinstance(shown, MapColumn)}

    @property
    def run_names(self) -> dict[str, str]:
        """Return column heading -> run, those behind maps too."""
        return {heading: shown.run if isinstance(shown, MapColumn) else shown for heading, shown in self.runs.items()}

    def jobs(self, targets: Targets, paper: str) -> dict[str, tuple[Run, int, int]]:
        """Return column heading -> run, fold and seed; where the group's fold is not made, it is the first one made."""
        from covidseg.plan.names import qualified

        runs = {heading: targets.resolver.run(qualified(paper, run)) for heading, run in self.run_names.items()}
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
        return [run for group in self.groups for run in group.run_names.values()]

    def check(self, targets: Targets, paper: str, where: str) -> None:
        """Check runs, and that those of a group have the same test slices. Raises UserError."""
        from covidseg.base.errors import UserError
        from covidseg.plan.names import qualified

        super().check(targets, paper, where)
        for k, group in enumerate(self.groups):
            specs = [targets.resolver.run(qualified(paper, run)).spec for run in group.run_names.values()]
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
        from covidseg.figures.qualitative import BY_IMAGE, DICE, RULE, SMALL
        from covidseg.tables.caption import differences

        data, rules, drawn = [], [], False
        maps = {heading: shown for group in self.groups for heading, shown in group.maps.items()}
        for group in self.groups:
            run, fold, seed = next(iter(group.jobs(plan.targets, paper).values()))
            label = f"{group.label}: " if group.label else ""
            data.append(f"{label}{run.spec.dataset}, split {run.spec.split}, fold {fold}, seed {seed}")
            by_image = plan.dataset(run.spec.dataset).image_labels is not None
            rules.append(BY_IMAGE if by_image else SMALL if group.pick == "small" else RULE)
            drawn = drawn or not by_image
        return [
            f"Data: {'; '.join(data)}",
            f"Slices: {'; then '.join(dict.fromkeys(rules))}",
            *([DICE] if drawn else []),
            "The box marks the largest region where the methods disagree",
            *(f"{heading}: {shown.map} of {shown.run}, dark 0, bright 1" for heading, shown in maps.items()),
            *(["Bars: each class's share of the slice"] if self.shares else []),
            f"Mode {plan.config.mode}, preset {plan.preset_name}",
            *differences(plan, [plan.run(run) for run in self.run_ids(paper)]),
        ]

    def draw(self, plan: Plan, paper: str) -> Any:
        """Return the drawing."""
        from covidseg.figures import page, qualitative

        rows, missing = qualitative.rows(plan, paper, self)
        return page.draw(rows, self.shares, " ".join([*(f"{words}." for words in missing), page.note(plan)]).strip())
