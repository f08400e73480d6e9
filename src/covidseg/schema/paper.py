"""``workflow/papers``: runs, tables with the printed numbers, figures, claims."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

from pydantic import Field

from covidseg.schema.base import Finite, Name, RunId, ShownClass, Strict, Unique
from covidseg.schema.dataset import OwnScans
from covidseg.schema.exhibit import Figure, Table, union


class Deviation(Strict):
    """A place where the released code differs from the text; ``key`` is the setting it decides."""

    key: str
    runs: list[Name] | None = Field(None, description="The runs that have this setting; absent: all.")
    described: Any
    released: Any
    why: str


if TYPE_CHECKING:
    AnyTable: TypeAlias = Table
    AnyFigure: TypeAlias = Figure
else:
    AnyTable = union("covidseg.tables.kinds", Table, "results")
    AnyFigure = union("covidseg.figures.kinds", Figure, "qualitative")


class Claim(Strict):
    """A sentence of a paper that our runs can test: ``better`` scores better than ``than``.

    With ``beyond: [a, b]`` it does so by more than a scores better than b: "A helps only together with B".
    """

    id: str = Field(pattern="^[a-z0-9-]+$")
    says: str = Field(description="What the paper claims, in our words.")
    where: str = Field(description="Section and table of the paper.")
    better: RunId = Field(description="A run.")
    than: RunId = Field(description="A run.")
    beyond: tuple[RunId, RunId] | None = Field(None, description="Two runs whose difference has to be exceeded.")
    protocol: Name
    metric: Name
    cls: ShownClass = None
    by: Finite | None = Field(None, description="The printed difference; above zero is in the claim's favour.")

    @property
    def runs(self) -> list[str]:
        """Return the runs compared: better, than, and those of ``beyond``."""
        return [self.better, self.than, *(self.beyond or ())]

    @property
    def runs_in_words(self) -> str:
        """Return which runs are compared, as ``m3 over m1``."""
        beyond = f", beyond {self.beyond[0]} over {self.beyond[1]}" if self.beyond else ""
        return f"{self.better} over {self.than}{beyond}"


class PaperHead(Strict):
    """Which paper, and where its code is."""

    title: str
    authors: str = ""
    venue: str = ""
    doi: str = ""
    code: str | None = None

    @property
    def cited(self) -> str:
        """Return authors and venue; the title where there are none, as of work of one's own."""
        return f"{self.authors} {self.venue}".strip() or self.title


class Paper(Strict):
    """``workflow/papers/NAME.yaml``; ``defaults`` and ``runs`` are overrides of a RunSpec."""

    paper: PaperHead
    dataset: OwnScans | None = Field(None, description="Scans of your own: no file in workflow/datasets is needed.")
    defaults: dict[str, Any]
    deviations: dict[str, Deviation] = {}
    runs: dict[Name, dict[str, Any] | None] = {}
    masks: Annotated[list[Name], Unique] | None = Field(
        None, description="Runs whose masks of whole scans are wanted as files; absent: all of own scans, else none."
    )
    tables: dict[Name, AnyTable] = {}
    figures: dict[Name, AnyFigure] = {}
    claims: list[Claim] = []
