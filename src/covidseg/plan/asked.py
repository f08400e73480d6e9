"""What is asked for: tables, figures, claims and masks, and the runs and data sets behind them."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator

from covidseg.plan.resolved import Resolved
from covidseg.plan.run import PHANTOM_LUNGS, STANDARD, SUPPORT, Run, qualified
from covidseg.schema import Claim, DatasetTable, ExamplesFigure, Group, QualitativeFigure, ResultTable


class Asked(Resolved):
    """Runs, and which of them the configuration asks for."""

    def with_models(self) -> list[str]:
        """Return ``runs`` and those whose models they need, and so on, each once."""
        found = dict.fromkeys(self.runs())
        left = list(found)
        while left:
            others = [other for other in self.models_for(left.pop()) if other not in found]
            found.update(dict.fromkeys(others))
            left += others
        return list(found)

    def tables(self) -> Iterator[tuple[str, str, ResultTable | DatasetTable]]:
        """Yield (paper, table name, table) of every table that has at least one row to make."""
        for paper in self.config.papers:
            for name, table in self.papers[paper].tables.items():
                if self.table_runs(paper, table) if isinstance(table, ResultTable) else self.table_datasets(table):
                    yield paper, name, table

    def table_runs(self, paper: str, table: ResultTable) -> list[str]:
        """Return the ids of the runs that a table needs, within ``only``."""
        return [run for row in table.rows if row.run and self.wanted(run := qualified(paper, row.run))]

    def table_datasets(self, table: DatasetTable) -> list[str]:
        """Return the data sets that a table needs; with ``only``, those that the chosen runs use."""
        return self._used(name for row in table.rows for name in row.datasets)

    def _used(self, datasets: Iterable[str]) -> list[str]:
        """Return what stands for data sets, each once; with ``only``, those that the chosen runs use."""
        names = dict.fromkeys(map(self.stands_for, datasets))
        if not self.config.only:
            return list(names)
        used = {self.run(run).spec.dataset for run in self.config.only}
        return [name for name in names if name in used]

    def figures(self) -> Iterator[tuple[str, str]]:
        """Yield (paper, figure name) of every figure whose runs are all asked for and whose data are all there."""
        for paper in self.config.papers:
            for name, figure in self.papers[paper].figures.items():
                if all(map(self.wanted, self.figure_runs(paper, name))) and self._has_examples(figure):
                    yield paper, name

    def _has_examples(self, figure: QualitativeFigure | ExamplesFigure) -> bool:
        """Return whether the data sets of a figure of examples are used and, stand-ins too, have its classes."""
        if not isinstance(figure, ExamplesFigure):
            return True
        used = self._used(figure.datasets)
        return all(
            (name := self.stands_for(group.dataset)) in used
            and {*group.classes} <= {*self.dataset(name).classes, *self.dataset(name).unions}
            for group in figure.groups
        )

    def claims(self) -> Iterator[str]:
        """Yield the papers with at least one claim that can be tested."""
        yield from (paper for paper in self.config.papers if self.claim_runs(paper))

    def claim_runs(self, paper: str) -> list[str]:
        """Return the ids of the runs that a paper's testable claims compare."""
        claims = [claim for claim in self.papers[paper].claims if self.testable(paper, claim)]
        return list(dict.fromkeys(qualified(paper, run) for claim in claims for run in claim.runs))

    def testable(self, paper: str, claim: Claim) -> bool:
        """Return whether all runs of a claim are asked for."""
        return all(self.wanted(qualified(paper, run)) for run in claim.runs)

    def mask_runs(self, paper: str) -> list[str]:
        """Return the ids of the runs of which a paper wants masks of whole scans, within ``only``."""
        model = self.papers[paper]
        names = model.masks if model.masks is not None else model.runs if model.dataset else []
        return [run for name in names if self.wanted(run := qualified(paper, name))]

    def masks(self) -> list[str]:
        """Return the ids of all runs of which masks are wanted."""
        return [run for paper in self.config.papers for run in self.mask_runs(paper)]

    def runs(self) -> list[str]:
        """Return the ids of all runs that tables, figures, claims, masks and ``only`` ask for, each once."""
        found: dict[str, None] = dict.fromkeys(filter(self.wanted, self.config.only))
        for paper, _, table in self.tables():
            if isinstance(table, ResultTable):
                found.update(dict.fromkeys(self.table_runs(paper, table)))
        for paper, name in self.figures():
            found.update(dict.fromkeys(self.figure_runs(paper, name)))
        for paper in self.claims():
            found.update(dict.fromkeys(self.claim_runs(paper)))
        found.update(dict.fromkeys(self.masks()))
        return list(found)

    def all_runs(self) -> list[str]:
        """Return ``runs``, those whose models they need, and the models that their data's lung masks need."""
        runs = self.with_models()
        if any(self.lungs(name) == "phantom" for name in self.all_datasets()):
            runs.append(PHANTOM_LUNGS)
        return list(dict.fromkeys(runs))

    def all_datasets(self) -> list[str]:
        """Return the data sets that runs, their pools, tables and figures use, parts before what joins them."""
        specs = [self.run(run).spec for run in self.with_models()]
        names = [name for spec in specs for name, _ in self.tensors_of(spec)]
        names += [spec.maps for spec in specs if spec.maps]
        for _, _, table in self.tables():
            if isinstance(table, DatasetTable):
                names += self.table_datasets(table)
        for paper, figure in self.figures():
            names += self.figure_datasets(paper, figure)
        names = [part for name in names for part in (*self.dataset(name).joins, name)]
        if any(self.lungs(name) == "phantom" for name in names):
            names.append(self.run(PHANTOM_LUNGS).spec.dataset)
        return list(dict.fromkeys(names))

    @functools.cache  # noqa: B019
    def leak_sets(self) -> list[tuple[str, str]]:
        """Return (data set, split) of the runs: what is checked for leaks."""
        specs = [self.run(run).spec for run in self.runs()]
        return list(dict.fromkeys((spec.dataset, spec.split) for spec in specs))

    def trained_beside(self, dataset: str) -> list[str]:
        """Return the other data sets that runs learn from, with labels or as a pool without: a model of theirs may be
        tested on ``dataset``.
        """
        names = dict.fromkeys([*(name for name, _ in self.leak_sets()), *self.pools()])
        return [name for name in names if name != dataset]

    def pools(self, dataset: str | None = None, split: str | None = None) -> dict[str, set[str]]:
        """Return data set -> cases left out of it, of the pools from which a split's runs, or all runs, learn.

        A case is left out when every run with that pool leaves it out. A data set that is its own pool gives its
        unlabelled slices.
        """
        pools: dict[str, set[str]] = {}
        for spec in (self.run(run).spec for run in self.with_models()):
            if spec.pool and (dataset is None or (spec.dataset, spec.split) == (dataset, split)):
                without = set(spec.pool.without)
                pools[spec.pool.dataset] = pools.get(spec.pool.dataset, without) & without
        return pools

    def unseen(self, dataset: str) -> set[str]:
        """Return the cases of a data set that no run learns from: it is a pool only, and all leave them out."""
        labelled = any(name == dataset for name, _ in self.leak_sets())
        return set() if labelled else self.pools().get(dataset, set())

    def table_leaks(self, paper: str, table: ResultTable) -> list[tuple[str, str]]:
        """Return (data set, split) of a table's runs."""
        specs = [self.run(run).spec for run in self.table_runs(paper, table)]
        return list(dict.fromkeys((spec.dataset, spec.split) for spec in specs))

    def tensor_sets(self) -> list[tuple[str, int]]:
        """Return (data set, size) of the tensors that runs need."""
        specs = [self.run(run).spec for run in self.all_runs()]
        return list(dict.fromkeys(pair for spec in specs for pair in self.tensors_of(spec)))

    def figure_runs(self, paper: str, figure: str) -> list[str]:
        """Return the ids of the runs that a figure shows."""
        return [qualified(paper, run) for run in self.papers[paper].figures[figure].runs]

    def figure_datasets(self, paper: str, figure: str) -> list[str]:
        """Return the data sets that a figure shows without a run."""
        return list(dict.fromkeys(map(self.stands_for, self.papers[paper].figures[figure].datasets)))

    def group_jobs(self, paper: str, group: Group) -> dict[str, tuple[Run, int, int]]:
        """Return column heading -> run, fold and seed of a figure's rows.

        The fold is the group's own, or the first one made where that is not.
        """
        runs = {heading: self.run(qualified(paper, run)) for heading, run in group.runs.items()}
        folds = next(iter(runs.values())).folds
        fold = group.fold if group.fold in folds else folds[0]
        return {heading: (run, fold, run.seeds[0]) for heading, run in runs.items()}

    def figure_jobs(self, paper: str, figure: str) -> list[tuple[str, int, int]]:
        """Return (run, fold, seed) of every training that a figure shows."""
        model = self.papers[paper].figures[figure]
        groups = model.groups if isinstance(model, QualitativeFigure) else []
        jobs = [job for group in groups for job in self.group_jobs(paper, group).values()]
        return list(dict.fromkeys((run.id, fold, seed) for run, fold, seed in jobs))

    def shown_in(self, run: str) -> str:
        """Return where a run shows, as ``table 3, figure 5``; for a model behind others or the data, what it is for."""
        other = "lung masks" if run.startswith(f"{SUPPORT}/") else "no table"
        return ", ".join(self._places().get(run, [])) or other

    @functools.cache  # noqa: B019
    def _places(self) -> dict[str, list[str]]:
        """Return run -> the tables and figures that show it, and masks; claims, where nothing else does; where nothing
        at all, the runs that need its model.
        """
        found: dict[str, list[str]] = {}
        for paper, name, table in self.tables():
            for run in dict.fromkeys(self.table_runs(paper, table) if isinstance(table, ResultTable) else ()):
                found.setdefault(run, []).append(f"table {name}")
        for paper, name in self.figures():
            for run in dict.fromkeys(self.figure_runs(paper, name)):
                found.setdefault(run, []).append(f"figure {name}")
        for run in dict.fromkeys(self.masks()):
            found.setdefault(run, []).append("masks")
        for paper in self.claims():
            for run in self.claim_runs(paper):
                found.setdefault(run, ["claims"])
        behind: dict[str, list[str]] = {}
        for run in self.with_models():
            for other in self.models_for(run):
                behind.setdefault(other, []).append(f"for {run}")
        return behind | found

    def protocols(self, run: str) -> list[str]:
        """Return the protocols under which a run is scored: those of its tables and claims, and the standard one."""
        return list(dict.fromkeys([*self._protocols().get(run, []), STANDARD]))

    @functools.cache  # noqa: B019
    def _protocols(self) -> dict[str, list[str]]:
        """Return run -> the protocols of its tables, then of its claims."""
        found: dict[str, list[str]] = {}
        for paper, model in self.papers.items():
            for table in model.tables.values():
                if isinstance(table, ResultTable):
                    for row in table.rows:
                        if row.run:
                            found.setdefault(qualified(paper, row.run), []).append(table.protocol)
        for paper, model in self.papers.items():
            for claim in model.claims:
                for run in claim.runs:
                    found.setdefault(qualified(paper, run), []).append(claim.protocol)
        return found
