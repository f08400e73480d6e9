"""``workflow/papers``: runs, tables with the printed numbers, figures, claims."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, Tag

from covidseg.schema.base import Count, Finite, Name, RunId, Strict, Unique, discriminated_by
from covidseg.schema.dataset import OwnScans


class Deviation(Strict):
    """A place where the released code differs from the text; ``key`` is the setting it decides."""

    key: str
    runs: list[Name] | None = Field(None, description="The runs that have this setting; absent: all.")
    described: Any
    released: Any
    why: str


ShownClass = Annotated[
    str | None, Field(alias="class", description="The class whose scores count; absent: the average over classes.")
]


class Row(Strict):
    """One table row: a run and what the paper printed for it."""

    label: str
    run: RunId | None = None
    cls: ShownClass = None
    printed: dict[str, Finite | None] = {}


class ResultTable(Strict):
    """A table of scores."""

    kind: Literal["results"] = "results"
    caption: str
    protocol: Name
    metrics: dict[str, str] = Field(description="Column heading -> metric of the protocol.")
    rows: list[Row]
    notes: list[str] = []


class DatasetRow(Strict):
    """One row of a table of data sets."""

    label: str
    datasets: list[Name] = Field(min_length=1, description="Data sets that the row adds up.")
    classes: list[str] = Field(min_length=1, description="Classes that the paper uses of them.")
    lesion: str = Field("infection", description="Class or union that makes a slice count.")
    printed: dict[str, Finite | None] = {}


class DatasetTable(Strict):
    """A table that counts slices, classes and pixel shares of data sets."""

    kind: Literal["datasets"]
    caption: str
    columns: dict[str, str] = Field(description="Heading -> slices, classes, lung, or a class whose share is meant.")
    rows: list[DatasetRow]
    notes: list[str] = []


Table = Annotated[
    Annotated[ResultTable, Tag("results")] | Annotated[DatasetTable, Tag("datasets")],
    discriminated_by("kind", "results"),
]


class Group(Strict):
    """Rows of a qualitative figure: slices of one data set with the same runs."""

    label: str = Field("", description="Stands beside the rows.")
    runs: dict[str, RunId] = Field(min_length=1, description="Column heading -> run.")
    slices: int = Field(2, ge=1, le=20)
    fold: Count = 0


class QualitativeFigure(Strict):
    """Slices by rows; CT, methods and truth by columns."""

    kind: Literal["qualitative"] = "qualitative"
    caption: str
    groups: list[Group] = Field(min_length=1)
    shares: bool = Field(False, description="A last column of bars: each class's share of the slice.")

    @property
    def runs(self) -> list[str]:
        """Return the runs that the figure shows."""
        return [run for group in self.groups for run in group.runs.values()]

    @property
    def datasets(self) -> list[str]:
        """Return the data sets that the figure shows without a run: none."""
        return []


class ExampleGroup(Strict):
    """Rows of a figure of examples: slices of one data set."""

    label: str = Field("", description="Stands beside the rows.")
    dataset: Name
    classes: Annotated[list[str], Unique] = Field(min_length=1)
    slices: int = Field(2, ge=1, le=20)


class ExamplesFigure(Strict):
    """Slices by rows; CT, true lesions and each class's share of the slice by columns."""

    kind: Literal["examples"]
    caption: str
    groups: list[ExampleGroup] = Field(min_length=1)

    @property
    def runs(self) -> list[str]:
        """Return the runs that the figure shows: none."""
        return []

    @property
    def datasets(self) -> list[str]:
        """Return the data sets that the figure shows."""
        return [group.dataset for group in self.groups]


Figure = Annotated[
    Annotated[QualitativeFigure, Tag("qualitative")] | Annotated[ExamplesFigure, Tag("examples")],
    discriminated_by("kind", "qualitative"),
]


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
    tables: dict[Name, Table] = {}
    figures: dict[Name, Figure] = {}
    claims: list[Claim] = []
