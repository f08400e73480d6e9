"""Tables of scores: a run by row, a metric of the protocol by column, and what the paper printed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, model_validator

from covidseg.schema.base import Finite, Name, RunId, ShownClass, Strict
from covidseg.schema.exhibit import Reads, Table

if TYPE_CHECKING:
    from covidseg.plan import Plan
    from covidseg.plan.targets import Targets
    from covidseg.tables.cell import Cell


PrintedValue = Finite | None | Annotated[list[Finite], Field(min_length=2, max_length=2)]
Printed = dict[str, PrintedValue] | list[PrintedValue]
AVERAGE = "average"
AUTHORS = ", authors' maps"


@dataclass(frozen=True)
class Line:
    """One line of a table: a run, the class scored (None: the average), and what the paper printed, with spreads."""

    label: str
    run: str | None
    cls: str | None
    printed: dict[str, float]
    spread: dict[str, float]


class Row(Strict):
    """A run and what the paper printed for it: one line, or one for each class, or these again for a second run."""

    label: str
    run: RunId | None = None
    maps: RunId | None = Field(
        None, description="A run of the authors' own maps: further lines with the same printed numbers."
    )
    cls: ShownClass = None
    printed: Printed = Field(
        {}, description="Column -> what the paper printed, or [mean, spread]; or a list in the order of the columns."
    )
    classes: dict[str, Printed] | None = Field(
        None, description="In place of class and printed: class, or average -> printed, a line for each."
    )

    @model_validator(mode="after")
    def _one_way(self) -> Row:
        if self.classes is not None and (self.cls or self.printed):
            raise ValueError("classes: stands in place of class and printed; remove these")
        return self

    def lines(self, headings: list[str]) -> list[Line]:
        """Return the lines of a table with these columns. Raises ValueError for a list of another length."""
        parts = {self.cls: self.printed} if self.classes is None else self.classes
        runs = {self.label: self.run} | ({self.label + AUTHORS: self.maps} if self.maps else {})
        found = []
        for label, run in runs.items():
            for cls, given in parts.items():
                if isinstance(given, list):
                    if len(given) != len(headings):
                        raise ValueError(f"{len(given)} printed values of {label!r} for {len(headings)} columns")
                    given = dict(zip(headings, given, strict=True))
                values = {column: value for column, value in given.items() if value is not None}
                printed = {k: v[0] if isinstance(v, list) else v for k, v in values.items()}
                spread = {k: v[1] for k, v in values.items() if isinstance(v, list)}
                found.append(Line(label, run, None if cls == AVERAGE else cls, printed, spread))
        return found


class ResultTable(Table):
    """A table of scores."""

    kind: Literal["results"] = "results"
    protocol: Name
    metrics: dict[str, str] = Field(description="Column heading -> metric of the protocol.")
    facts: dict[str, Literal["parameters", "accuracy", "auc"]] = Field(
        {},
        description=(
            "Column heading -> fact: parameters, in million, of the run's network at its full width; accuracy or auc "
            "of a classifier on its test images."
        ),
    )
    lost: bool = Field(
        False,
        exclude_if=lambda lost: not lost,
        description="The paper printed numbers that are lost: cells without one say that nothing printed is known.",
    )
    rows: list[Row]
    notes: list[str] = Field([], description="Sentences at the end of the caption.")

    @model_validator(mode="after")
    def _whole(self) -> ResultTable:
        _ = self.lines
        return self

    @property
    def lines(self) -> list[Line]:
        """Return the table's lines in order."""
        return [line for row in self.rows for line in row.lines(self.headings)]

    @property
    def runs(self) -> list[str]:
        """Return the runs of the lines that have one."""
        return [line.run for line in self.lines if line.run]

    @property
    def protocols(self) -> dict[str, list[str]]:
        """Return the table's protocol for each of its runs."""
        return {run: [self.protocol] for run in self.runs}

    @property
    def headings(self) -> list[str]:
        """Return the columns: metrics, then facts."""
        return [*self.metrics, *self.facts]

    @property
    def printed(self) -> list[tuple[str, list[str]]]:
        """Return the columns that each line has a printed number for."""
        return [(line.label, list(line.printed)) for line in self.lines]

    @property
    def scored_by(self) -> str:
        """Return the table's protocol."""
        return self.protocol

    def check(self, targets: Targets, paper: str, where: str) -> None:
        """Check protocol, metrics, runs and classes, and that no two rows look the same. Raises UserError."""
        from covidseg.base.errors import UserError
        from covidseg.plan.names import check_known, qualified

        targets.catalogue.check_protocol(self.protocol, f"{where}.protocol")
        check_known(self.metrics.values(), targets.catalogue.protocol(self.protocol).metrics, f"{where}.metrics")
        super().check(targets, paper, where)
        both = [name for name in self.facts if name in self.metrics]
        if both:
            raise UserError(f"{where}.facts: {both[0]!r} is a metric's column too; rename one")
        known = {run: run_id for run in self.runs if targets.resolver.known(run_id := qualified(paper, run))}
        classes = {run: targets.resolver.run(run_id).spec.classes for run, run_id in known.items()}
        every = list(dict.fromkeys(name for found in classes.values() for name in found))
        seen = set()
        for k, row in enumerate(self.rows):
            for line in row.lines(self.headings):
                legal = classes.get(line.run, every) if line.run else every
                if line.cls and legal:
                    at = "class" if row.classes is None else "classes"
                    check_known([line.cls], legal, f"{where}.rows.{k}.{at}")
                if (line.label, line.cls) in seen:
                    raise UserError(
                        f"{where}.rows.{k}.label: two rows are {line.label!r}; rename one, or give it a class"
                    )
                seen.add((line.label, line.cls))

    def leaks(self, targets: Targets, paper: str) -> list[tuple[str, str]]:
        """Return (data set, split) of the runs."""
        specs = [targets.resolver.run(run).spec for run in self.wanted_runs(targets, paper)]
        return list(dict.fromkeys((spec.dataset, spec.split) for spec in specs))

    def reads(self, targets: Targets, paper: str) -> Reads:
        """Return the runs' scores and records, and the leak checks of their data."""
        runs = self.wanted_runs(targets, paper)
        jobs = [(run, *job) for run in runs for job in targets.resolver.run(run).jobs]
        return Reads(scores=tuple(runs), records=tuple(jobs), leaks=tuple(self.leaks(targets, paper)))

    def decides(self, targets: Targets, paper: str) -> list[Any]:
        """Return what the caption says of the runs, and the protocols."""
        from covidseg.plan.names import STANDARD

        runs = [targets.resolver.run(run) for run in self.wanted_runs(targets, paper)]
        protocols = [targets.catalogue.protocol(name).model_dump(mode="json") for name in (self.protocol, STANDARD)]
        return [[[targets.resolver.caveats(run), run.released, run.jobs] for run in runs], protocols]

    def words(self, plan: Plan, paper: str, name: str) -> list[str]:
        """Return mode, preset, data, and everything in which the runs differ from the paper's."""
        from covidseg.tables.caption import results_in_words

        wrong = self.doubts(plan)
        cannot_be = [f"These printed numbers cannot be: {'; '.join(wrong)}"] if wrong else []
        return [*results_in_words(plan, paper, self), *self.notes, *cannot_be]

    def doubts(self, plan: Plan) -> list[str]:
        """Return what arithmetic rules out: averages that are none, a Dice above its bound."""
        from covidseg.tables.impossible import impossible

        return impossible(self, plan.catalogue.protocol(self.protocol))

    def cells(self, plan: Plan, paper: str) -> list[Cell]:
        """Return the scores under the table's protocol, then under the standard one."""
        from covidseg.tables.results import result_cells

        return result_cells(plan, paper, self)

    def origin(self, plan: Plan, cell: Any) -> list[str]:
        """Return the cases, the records of every fold and seed, and the commands."""
        from covidseg.tables.results import origin

        return origin(plan, cell)
