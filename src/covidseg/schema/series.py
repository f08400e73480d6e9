"""What tables and figures of follow-up series share: a run, and the series whose scans its models predict."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from covidseg.schema.base import Name, RunId
from covidseg.schema.exhibit import Exhibit, Reads

if TYPE_CHECKING:
    from covidseg.plan.targets import Targets


class OfSeries(Exhibit):
    """A table or figure of a run's masks of a series."""

    run: RunId
    dataset: Name = Field(description="The series; the paper's masks: must list it with the run.")

    @property
    def runs(self) -> list[str]:
        """Return the run whose masks are measured."""
        return [self.run]

    def check(self, targets: Targets, paper: str, where: str) -> None:
        """Check the run, and that its masks of the series are asked for. Raises UserError."""
        from covidseg.base.errors import UserError

        super().check(targets, paper, where)
        asked = [one for one in targets.catalogue.papers[paper].masks or [] if not isinstance(one, str)]
        if (self.run, self.dataset) not in [(one.run, one.dataset) for one in asked]:
            raise UserError(f"{where}: add {{run: {self.run}, dataset: {self.dataset}}} to masks of the paper")

    def masks(self, targets: Targets, paper: str) -> str:
        """Return the name of the masks."""
        from covidseg.plan.names import masks_id, qualified

        return masks_id(qualified(paper, self.run), targets.catalogue.stands_for(self.dataset))

    def reads(self, targets: Targets, paper: str) -> Reads:
        """Return the masks, and the data set with the days."""
        return Reads(masks=(self.masks(targets, paper),), images=(targets.catalogue.stands_for(self.dataset),))
