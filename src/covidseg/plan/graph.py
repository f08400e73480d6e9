"""The job graph: the runs, data sets, tensors and leak checks that the requested tables and figures depend on."""

from __future__ import annotations

import functools
from pathlib import Path

from covidseg.base.paths import Paths
from covidseg.plan.catalogue import Catalogue
from covidseg.plan.names import SUPPORT
from covidseg.plan.resolver import Resolver
from covidseg.plan.targets import Targets


class JobGraph:
    """Which results depend on which others, down to the data sets."""

    def __init__(self, paths: Paths, catalogue: Catalogue, resolver: Resolver, targets: Targets) -> None:
        self.catalogue, self.resolver, self.targets = catalogue, resolver, targets
        self._paths = paths

    def with_referenced(self) -> list[str]:
        """Return the requested runs and, transitively, those that they refer to, each once."""
        found = dict.fromkeys(self.targets.runs())
        left = list(found)
        while left:
            others = [other for other in self.resolver.referenced(left.pop()) if other not in found]
            found.update(dict.fromkeys(others))
            left += others
        return list(found)

    def all_runs(self) -> list[str]:
        """Return the requested runs, those that they refer to, and those whose models make the lung masks."""
        runs = self.with_referenced()
        return list(dict.fromkeys([*runs, *self._lung_runs(self.all_datasets())]))

    def all_datasets(self) -> list[str]:
        """Return the data sets that runs, pools, tables and figures use; parts come before the joined data set."""
        runs = [self.resolver.run(run) for run in self.with_referenced()]
        names = [name for run in runs for name, _ in run.tensors]
        names += [run.spec.maps for run in runs if run.spec.maps]
        for _, _, exhibit in self.targets.exhibits():
            names += exhibit.wanted_datasets(self.targets)
        names += [self.targets.masks_of(masks)[1] for masks in self.targets.masks()]
        names = [part for name in dict.fromkeys(names) for part in (*self.catalogue.dataset(name).joins, name)]
        names = [part for name in names for part in (self.catalogue.files_of(name), name)]
        names += [self.resolver.run(run).spec.dataset for run in self._lung_runs(names)]
        return list(dict.fromkeys(names))

    def _lung_runs(self, datasets: list[str]) -> list[str]:
        """Return the runs whose models make the lung masks of data sets."""
        found = (self.catalogue.lung_source(name)["run"] for name in dict.fromkeys(datasets))
        return list(dict.fromkeys(run for run in found if run is not None))

    def tensor_sets(self) -> list[tuple[str, int]]:
        """Return (data set, size) of the tensors that runs need."""
        return list(dict.fromkeys(pair for run in self.all_runs() for pair in self.resolver.run(run).tensors))

    @functools.cache  # noqa: B019
    def leak_sets(self) -> list[tuple[str, str]]:
        """Return (data set, split) of every run; each pair is checked for leaks."""
        specs = [self.resolver.run(run).spec for run in self.targets.runs()]
        return list(dict.fromkeys((spec.dataset, spec.split) for spec in specs))

    def other_training_sets(self, dataset: str) -> list[str]:
        """Return the other data sets on which runs are trained, labelled or as an unlabelled pool.

        Their models may be tested on ``dataset``, so the leak check compares them with it.
        """
        names = dict.fromkeys([*(name for name, _ in self.leak_sets()), *self.pools()])
        return [name for name in names if name != dataset]

    def pools(self, dataset: str | None = None, split: str | None = None) -> dict[str, set[str]]:
        """Return pool -> the cases left out of it, for the unlabelled pools of the runs of a split, or of all runs.

        A case is left out when every run with that pool leaves it out. A data set that is its own pool contributes its
        unlabelled slices.
        """
        pools: dict[str, set[str]] = {}
        for spec in (self.resolver.run(run).spec for run in self.with_referenced()):
            if spec.pool and (dataset is None or (spec.dataset, spec.split) == (dataset, split)):
                without = set(spec.pool.without)
                pools[spec.pool.dataset] = pools.get(spec.pool.dataset, without) & without
        return pools

    def unseen(self, dataset: str) -> set[str]:
        """Return the cases of a data set on which no run is trained: it is only a pool, and all runs leave them out."""
        labelled = any(name == dataset for name, _ in self.leak_sets())
        return set() if labelled else self.pools().get(dataset, set())

    def shown_in(self, run: str) -> str:
        """Return where a run is shown, as ``table 3, figure 5``; otherwise which runs or lung masks need its model."""
        other = "lung masks" if run.startswith(f"{SUPPORT}/") else "no table"
        return ", ".join(self._places().get(run, [])) or other

    @functools.cache  # noqa: B019
    def _places(self) -> dict[str, list[str]]:
        """Return run -> the tables, figures and masks that show it.

        A run that none of them shows has the claims that compare it; failing these, the runs that need its model.
        """
        found: dict[str, list[str]] = {}
        for paper, title, exhibit in self.targets.exhibits():
            for run in exhibit.wanted_runs(self.targets, paper):
                found.setdefault(run, []).append(title)
        for run in dict.fromkeys(self.targets.masks_of(masks)[0].id for masks in self.targets.masks()):
            found.setdefault(run, []).append("masks")
        for paper in self.targets.claims():
            for run in self.targets.claim_runs(paper):
                found.setdefault(run, ["claims"])
        behind: dict[str, list[str]] = {}
        for run in self.with_referenced():
            for other in self.resolver.referenced(run):
                behind.setdefault(other, []).append(f"for {run}")
        return behind | found

    def imported_from(self, dataset: str) -> list[Path]:
        """Return the records that an import depends on: of the fetched files, or of the imported parts."""
        parts = self.catalogue.dataset(dataset).joins
        made = [self._paths.canonical(part) / name for part in parts for name in ("import.json", "lungs.json")]
        return made or [self._paths.raw(self.catalogue.files_of(dataset)) / "fetched.json"]
