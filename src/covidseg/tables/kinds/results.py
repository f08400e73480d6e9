"""Tables of scores: a run by row, a metric of the protocol by column, and what the paper printed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from covidseg.schema.base import Finite, Name, RunId, ShownClass, Strict
from covidseg.schema.exhibit import Reads, Table

if TYPE_CHECKING:
    from covidseg.plan import Plan
    from covidseg.plan.targets import Targets
    from covidseg.tables.cell import Cell


class Row(Strict):
    """One table row: a run and what the paper printed for it."""

    label: str
    run: RunId | None = None
    cls: ShownClass = None
    printed: dict[str, Finite | None] = Field({}, description="Column heading -> what the paper printed.")


class ResultTable(Table):
    """A table of scores."""

    kind: Literal["results"] = "results"
    protocol: Name
    metrics: dict[str, str] = Field(description="Column heading -> metric of the protocol.")
    rows: list[Row]
    notes: list[str] = Field([], description="Sentences at the end of the caption.")

    @property
    def runs(self) -> list[str]:
        """Return the runs of the rows that have one."""
        return [row.run for row in self.rows if row.run]

    @property
    def protocols(self) -> dict[str, list[str]]:
        """Return the table's protocol for each of its runs."""
        return {run: [self.protocol] for run in self.runs}

    @property
    def headings(self) -> list[str]:
        """Return the columns."""
        return list(self.metrics)

    @property
    def printed(self) -> list[tuple[str, list[str]]]:
        """Return the columns that each row has a printed number for."""
        return [(row.label, list(row.printed)) for row in self.rows]

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
        ids = {row.run: qualified(paper, row.run) for row in self.rows if row.run}
        known = {run: run_id for run, run_id in ids.items() if targets.resolver.known(run_id)}
        classes = {run: targets.resolver.run(run_id).spec.classes for run, run_id in known.items()}
        every = list(dict.fromkeys(name for found in classes.values() for name in found))
        for k, row in enumerate(self.rows):
            legal = classes.get(row.run, every) if row.run else every
            if row.cls and legal:
                check_known([row.cls], legal, f"{where}.rows.{k}.class")
            if (row.label, row.cls) in [(other.label, other.cls) for other in self.rows[:k]]:
                raise UserError(f"{where}.rows.{k}.label: two rows are {row.label!r}; rename one, or give it a class")

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

        return [*results_in_words(plan, paper, self), *self.notes]

    def cells(self, plan: Plan, paper: str) -> list[Cell]:
        """Return the scores under the table's protocol, then under the standard one."""
        from covidseg.tables.results import result_cells

        return result_cells(plan, paper, self)

    def origin(self, plan: Plan, cell: Any) -> list[str]:
        """Return the cases, the records of every fold and seed, and the commands."""
        from covidseg.tables.results import origin

        return origin(plan, cell)
