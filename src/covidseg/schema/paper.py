"""``workflow/papers``: runs, tables with the printed numbers, figures, claims."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

from pydantic import Field, model_validator

from covidseg.schema.base import Finite, Name, RunId, ShownClass, Strict, Unique
from covidseg.schema.dataset import OwnScans
from covidseg.schema.exhibit import Figure, Table, union


class Deviation(Strict):
    """A setting, named by ``key``, for which the released code differs from the text."""

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


@dataclass(frozen=True)
class Comparison:
    """The test of a claim in one metric: ``better`` against ``than``; ``by`` is the printed difference."""

    id: str
    says: str
    where: str
    better: str
    than: str
    beyond: tuple[str, str] | None
    protocol: str
    metric: str
    cls: str | None
    by: float | None
    about: str

    @property
    def runs(self) -> list[str]:
        """Return the runs compared: better, than, and those of ``beyond``."""
        return [self.better, self.than, *(self.beyond or ())]

    @property
    def runs_in_words(self) -> str:
        """Return which runs are compared, as ``m3 over m1``."""
        beyond = f", beyond {self.beyond[0]} over {self.beyond[1]}" if self.beyond else ""
        return f"{self.better} over {self.than}{beyond}"


class Claim(Strict):
    """A sentence of a paper that our runs can test: ``better`` scores better than ``than``.

    With ``beyond: [a, b]`` it does so by more than a scores better than b: "A helps only together with B". A claim that
    names several ``metrics`` is tested in each of them. With ``about: spread`` the scores of ``better`` differ less
    from seed to seed.
    """

    id: str = Field(pattern="^[a-z0-9-]+$")
    says: str = Field(description="What the paper claims, in our words.")
    where: str = Field(description="Section and table of the paper.")
    better: RunId = Field(description="A run.")
    than: RunId = Field(description="A run.")
    maps: tuple[RunId, RunId] | None = Field(
        None, description="Runs of the authors' own maps of better and than: tested too, with the same printed numbers."
    )
    beyond: tuple[RunId, RunId] | None = Field(None, description="Two runs whose difference has to be exceeded.")
    protocol: Name
    metric: Name | None = Field(None, description="One metric; or metrics.")
    metrics: dict[Name, Finite | None] | None = Field(
        None, min_length=1, description="Metric -> the printed difference, as by."
    )
    cls: ShownClass = None
    by: Finite | None = Field(None, description="The printed difference; above zero is in the claim's favour.")
    about: Literal["score", "spread"] = Field(
        "score", description="spread: the standard deviation over seeds is compared, which is to be smaller."
    )

    @model_validator(mode="after")
    def _one_way(self) -> Claim:
        if (self.metric is None) == (self.metrics is None):
            raise ValueError("needs metric or metrics, one of them")
        if self.metrics is not None and self.by is not None:
            raise ValueError("by: belongs to metric; write metrics: {metric: difference}")
        if self.maps and self.beyond:
            raise ValueError("maps: a claim with beyond has none")
        if self.about == "spread" and (self.maps or self.beyond):
            raise ValueError("about: spread compares two runs that were trained; remove maps and beyond")
        return self

    def tests(self) -> list[Comparison]:
        """Return the tests of the claim, one per metric; with several metrics, ids end with the metric's name."""
        metrics = self.metrics or {str(self.metric): self.by}
        pairs = [("", "", self.better, self.than)]
        if self.maps:
            pairs.append(("maps-", ", by the authors' maps", *self.maps))
        return [
            Comparison(
                id=prefix + self.id + (f"-{metric.replace('_', '-').lower()}" if self.metrics else ""),
                says=self.says + said,
                where=self.where,
                better=better,
                than=than,
                beyond=self.beyond,
                protocol=self.protocol,
                metric=metric,
                cls=self.cls,
                by=by,
                about=self.about,
            )
            for prefix, said, better, than in pairs
            for metric, by in metrics.items()
        ]


class PaperHead(Strict):
    """Bibliographic data of a paper, and the address of its code."""

    title: str
    authors: str = ""
    venue: str = ""
    doi: str = ""
    code: str | None = None

    @property
    def cited(self) -> str:
        """Return authors and venue; the title where these are absent, as for the user's own experiments."""
        return f"{self.authors} {self.venue}".strip() or self.title


class MasksOf(Strict):
    """Masks of another data set's scans by a run's models."""

    run: Name
    dataset: Name


class Paper(Strict):
    """``workflow/papers/NAME.yaml``; ``defaults`` and ``runs`` are overrides of a RunSpec."""

    paper: PaperHead
    dataset: OwnScans | None = Field(None, description="Scans of your own: no file in workflow/datasets is needed.")
    defaults: dict[str, Any]
    protocol: Name | None = Field(None, description="Of tables and claims that name none.")
    deviations: dict[str, Deviation] = {}
    presets: dict[Name, dict[str, Any]] = Field(
        {}, description="Preset -> settings of the preset that differ for this paper."
    )
    runs: dict[Name, dict[str, Any] | None] = {}
    masks: Annotated[list[Name | MasksOf], Unique] | None = Field(
        None,
        description="Runs whose masks of whole scans are written as files; absent: all runs of own scans, else none.",
    )
    tables: dict[Name, AnyTable] = {}
    figures: dict[Name, AnyFigure] = {}
    claims: list[Claim] = []

    @model_validator(mode="before")
    @classmethod
    def _with_protocol(cls, value: Any) -> Any:
        """Give the paper's protocol to tables of scores and claims that name none."""
        if not isinstance(value, dict) or not value.get("protocol"):
            return value
        default = {"protocol": value["protocol"]}

        def filled(part: Any) -> Any:
            scored = isinstance(part, dict) and part.get("kind", "results") == "results"
            return default | part if scored else part

        tables, claims = value.get("tables"), value.get("claims")
        changes: dict[str, Any] = {}
        if isinstance(tables, dict):
            changes["tables"] = {name: filled(table) for name, table in tables.items()}
        if isinstance(claims, list):
            changes["claims"] = list(map(filled, claims))
        return value | changes

    @property
    def tested(self) -> list[Comparison]:
        """Return the tests of the paper's claims, in order."""
        return [test for claim in self.claims for test in claim.tests()]
