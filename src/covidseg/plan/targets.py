"""What is asked for: tables, figures, claims and masks, and the runs that each shows."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator

from covidseg.plan.catalogue import Catalogue
from covidseg.plan.names import STANDARD, qualified
from covidseg.plan.resolver import Resolver
from covidseg.plan.run import Run
from covidseg.plan.settings import Settings
from covidseg.schema import Claim, DatasetTable, ExamplesFigure, Group, QualitativeFigure, ResultTable


class Targets:
    """What the configuration asks for, within ``only`` and the mode."""

    def __init__(self, settings: Settings, catalogue: Catalogue, resolver: Resolver) -> None:
        self.catalogue, self.resolver = catalogue, resolver
        self._papers, self._config = catalogue.papers, settings.config

    def tables(self) -> Iterator[tuple[str, str, ResultTable | DatasetTable]]:
        """Yield (paper, table name, table) of every table that has at least one row to make."""
        for paper in self._config.papers:
            for name, table in self._papers[paper].tables.items():
                if self.table_runs(paper, table) if isinstance(table, ResultTable) else self.table_datasets(table):
                    yield paper, name, table

    def table_runs(self, paper: str, table: ResultTable) -> list[str]:
        """Return the ids of the runs that a table needs, within ``only``."""
        return [run for row in table.rows if row.run and self.resolver.wanted(run := qualified(paper, row.run))]

    def table_datasets(self, table: DatasetTable) -> list[str]:
        """Return the data sets that a table needs; with ``only``, those that the chosen runs use."""
        return self._used(name for row in table.rows for name in row.datasets)

    def _used(self, datasets: Iterable[str]) -> list[str]:
        """Return what stands for data sets, each once; with ``only``, those that the chosen runs use."""
        names = dict.fromkeys(map(self.catalogue.stands_for, datasets))
        if not self._config.only:
            return list(names)
        used = {self.resolver.run(run).spec.dataset for run in self._config.only}
        return [name for name in names if name in used]

    def figures(self) -> Iterator[tuple[str, str]]:
        """Yield (paper, figure name) of every figure whose runs are all asked for and whose data are all there."""
        for paper in self._config.papers:
            for name, figure in self._papers[paper].figures.items():
                if all(map(self.resolver.wanted, self.figure_runs(paper, name))) and self._has_examples(figure):
                    yield paper, name

    def _has_examples(self, figure: QualitativeFigure | ExamplesFigure) -> bool:
        """Return whether the data sets of a figure of examples are used and, stand-ins too, have its classes."""
        if not isinstance(figure, ExamplesFigure):
            return True
        used = self._used(figure.datasets)
        return all(
            (name := self.catalogue.stands_for(group.dataset)) in used
            and {*group.classes} <= {*self.catalogue.dataset(name).classes, *self.catalogue.dataset(name).unions}
            for group in figure.groups
        )

    def claims(self) -> Iterator[str]:
        """Yield the papers with at least one claim that can be tested."""
        yield from (paper for paper in self._config.papers if self.claim_runs(paper))

    def claim_runs(self, paper: str) -> list[str]:
        """Return the ids of the runs that a paper's testable claims compare."""
        claims = [claim for claim in self._papers[paper].claims if self.testable(paper, claim)]
        return list(dict.fromkeys(qualified(paper, run) for claim in claims for run in claim.runs))

    def testable(self, paper: str, claim: Claim) -> bool:
        """Return whether all runs of a claim are asked for."""
        return all(self.resolver.wanted(qualified(paper, run)) for run in claim.runs)

    def mask_runs(self, paper: str) -> list[str]:
        """Return the ids of the runs of which a paper wants masks of whole scans, within ``only``."""
        model = self._papers[paper]
        names = model.masks if model.masks is not None else model.runs if model.dataset else []
        return [run for name in names if self.resolver.wanted(run := qualified(paper, name))]

    def masks(self) -> list[str]:
        """Return the ids of all runs of which masks are wanted."""
        return [run for paper in self._config.papers for run in self.mask_runs(paper)]

    def runs(self) -> list[str]:
        """Return the ids of all runs that tables, figures, claims, masks and ``only`` ask for, each once."""
        found: dict[str, None] = dict.fromkeys(filter(self.resolver.wanted, self._config.only))
        for paper, _, table in self.tables():
            if isinstance(table, ResultTable):
                found.update(dict.fromkeys(self.table_runs(paper, table)))
        for paper, name in self.figures():
            found.update(dict.fromkeys(self.figure_runs(paper, name)))
        for paper in self.claims():
            found.update(dict.fromkeys(self.claim_runs(paper)))
        found.update(dict.fromkeys(self.masks()))
        return list(found)

    def table_leaks(self, paper: str, table: ResultTable) -> list[tuple[str, str]]:
        """Return (data set, split) of a table's runs."""
        specs = [self.resolver.run(run).spec for run in self.table_runs(paper, table)]
        return list(dict.fromkeys((spec.dataset, spec.split) for spec in specs))

    def figure_runs(self, paper: str, figure: str) -> list[str]:
        """Return the ids of the runs that a figure shows."""
        return [qualified(paper, run) for run in self._papers[paper].figures[figure].runs]

    def figure_datasets(self, paper: str, figure: str) -> list[str]:
        """Return the data sets that a figure shows without a run."""
        return list(dict.fromkeys(map(self.catalogue.stands_for, self._papers[paper].figures[figure].datasets)))

    def group_jobs(self, paper: str, group: Group) -> dict[str, tuple[Run, int, int]]:
        """Return column heading -> run, fold and seed of a figure's rows.

        The fold is the group's own, or the first one made where that is not.
        """
        runs = {heading: self.resolver.run(qualified(paper, run)) for heading, run in group.runs.items()}
        folds = next(iter(runs.values())).folds
        fold = group.fold if group.fold in folds else folds[0]
        return {heading: (run, fold, run.seeds[0]) for heading, run in runs.items()}

    def figure_jobs(self, paper: str, figure: str) -> list[tuple[str, int, int]]:
        """Return (run, fold, seed) of every training that a figure shows."""
        model = self._papers[paper].figures[figure]
        groups = model.groups if isinstance(model, QualitativeFigure) else []
        jobs = [job for group in groups for job in self.group_jobs(paper, group).values()]
        return list(dict.fromkeys((run.id, fold, seed) for run, fold, seed in jobs))

    def protocols(self, run: str) -> list[str]:
        """Return the protocols under which a run is scored: those of its tables and claims, and the standard one."""
        return list(dict.fromkeys([*self._protocols().get(run, []), STANDARD]))

    @functools.cache  # noqa: B019
    def _protocols(self) -> dict[str, list[str]]:
        """Return run -> the protocols of its tables, then of its claims."""
        found: dict[str, list[str]] = {}
        for paper, model in self._papers.items():
            for table in model.tables.values():
                if isinstance(table, ResultTable):
                    for row in table.rows:
                        if row.run:
                            found.setdefault(qualified(paper, row.run), []).append(table.protocol)
        for paper, model in self._papers.items():
            for claim in model.claims:
                for run in claim.runs:
                    found.setdefault(qualified(paper, run), []).append(claim.protocol)
        return found
