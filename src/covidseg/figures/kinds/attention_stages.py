"""Figures of where a classifier looked at stages of its training: slices by rows, epochs by columns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from covidseg.schema.base import Count, RunId
from covidseg.schema.exhibit import Figure, Job, Reads

if TYPE_CHECKING:
    from covidseg.plan import Plan
    from covidseg.plan.targets import Targets


class AttentionStagesFigure(Figure):
    """Slices by rows; CT, a classifier's attention maps after some epochs, all epochs fused, and truth by columns."""

    kind: Literal["attention_stages"]
    run: RunId = Field(description="A run of method cam.")
    slices: int = Field(3, ge=1, le=20)
    fold: Count = 0

    @property
    def runs(self) -> list[str]:
        """Return the one run."""
        return [self.run]

    def check(self, targets: Targets, paper: str, where: str) -> None:
        """Check that the run keeps maps. Raises UserError."""
        from covidseg.base.errors import UserError
        from covidseg.plan.names import qualified

        super().check(targets, paper, where)
        spec = targets.resolver.run(qualified(paper, self.run)).spec
        if spec.train.method != "cam":
            raise UserError(f"{where}.run: {self.run} keeps no attention maps; name a run of method cam")

    def job(self, targets: Targets, paper: str) -> Job:
        """Return run, fold and seed; where the figure's fold is not made, it is the first one made."""
        from covidseg.plan.names import qualified

        run = targets.resolver.run(qualified(paper, self.run))
        return run.id, self.fold if self.fold in run.folds else run.folds[0], run.seeds[0]

    def reads(self, targets: Targets, paper: str) -> Reads:
        """Return the training, whose record names its maps, and the data."""
        job = self.job(targets, paper)
        return Reads(records=(job,), images=(targets.resolver.run(job[0]).spec.dataset,))

    def words(self, plan: Plan, paper: str, name: str) -> list[str]:
        """Return data, the rule that chose the slices, mode, preset, and what differs from the paper."""
        from covidseg.figures.attention_stages import BY_IMAGE, RULE
        from covidseg.tables.caption import differences

        run, fold, seed = self.job(plan.targets, paper)
        spec = plan.run(run).spec
        return [
            f"Data: {spec.dataset}, split {spec.split}, fold {fold}, seed {seed}",
            f"Slices: {BY_IMAGE if plan.dataset(spec.dataset).image_labels else RULE}",
            "Bright: much attention, as a share of the slice's most; a dark map: the slice was not found in that epoch",
            f"Mode {plan.config.mode}, preset {plan.preset_name}",
            *differences(plan, [plan.run(run)]),
        ]

    def draw(self, plan: Plan, paper: str) -> Any:
        """Return the drawing."""
        from covidseg.figures import attention_stages, page

        return page.draw(attention_stages.rows(plan, self, *self.job(plan.targets, paper)), False, page.note(plan))
