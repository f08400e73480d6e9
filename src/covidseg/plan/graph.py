"""What has to be made for what is asked for: runs behind runs, data sets, tensors, checks for leaks."""

from __future__ import annotations

import functools
from pathlib import Path

from covidseg.base.paths import Paths
from covidseg.plan.catalogue import Catalogue
from covidseg.plan.names import SUPPORT
from covidseg.plan.resolver import Resolver
from covidseg.plan.targets import Targets


class JobGraph:
    """Which results need which others, down to the data sets."""

    def __init__(self, paths: Paths, catalogue: Catalogue, resolver: Resolver, targets: Targets) -> None:
        self.catalogue, self.resolver, self.targets = catalogue, resolver, targets
        self._paths = paths

    def with_referenced(self) -> list[str]:
        """Return the runs asked for and those that they refer to, and so on, each once."""
        found = dict.fromkeys(self.targets.runs())
        left = list(found)
        while left:
            others = [other for other in self.resolver.referenced(left.pop()) if other not in found]
            found.update(dict.fromkeys(others))
            left += others
        return list(found)

    def all_runs(self) -> list[str]:
        """Return the runs asked for, those that they refer to, and the models that their data's lung masks need."""
        runs = self.with_referenced()
        return list(dict.fromkeys([*runs, *self._lung_runs(self.all_datasets())]))

    def all_datasets(self) -> list[str]:
        """Return the data sets that runs, their pools, tables and figures use, parts before what joins them."""
        runs = [self.resolver.run(run) for run in self.with_referenced()]
        names = [name for run in runs for name, _ in run.tensors]
        names += [run.spec.maps for run in runs if run.spec.maps]
        for _, _, exhibit in self.targets.exhibits():
            names += exhibit.wanted_datasets(self.targets)
        names += [self.targets.masks_of(masks)[1] for masks in self.targets.masks()]
        names = [part for name in names for part in (*self.catalogue.dataset(name).joins, name)]
        names = [part for name in names for part in (self.catalogue.files_of(name), name)]
        names += [self.resolver.run(run).spec.dataset for run in self._lung_runs(names)]
        return list(dict.fromkeys(names))

    def _lung_runs(self, datasets: list[str]) -> list[str]:
        """Return the runs whose models make the lung masks of data sets."""
        found = (self.catalogue.lung_source(name)["run"] for name in datasets)
        return list(dict.fromkeys(run for run in found if run is not None))

    def tensor_sets(self) -> list[tuple[str, int]]:
        """Return (data set, size) of the tensors that runs need."""
        return list(dict.fromkeys(pair for run in self.all_runs() for pair in self.resolver.run(run).tensors))

    @functools.cache  # noqa: B019
    def leak_sets(self) -> list[tuple[str, str]]:
        """Return (data set, split) of the runs: what is checked for leaks."""
        specs = [self.resolver.run(run).spec for run in self.targets.runs()]
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
        for spec in (self.resolver.run(run).spec for run in self.with_referenced()):
            if spec.pool and (dataset is None or (spec.dataset, spec.split) == (dataset, split)):
                without = set(spec.pool.without)
                pools[spec.pool.dataset] = pools.get(spec.pool.dataset, without) & without
        return pools

    def unseen(self, dataset: str) -> set[str]:
        """Return the cases of a data set that no run learns from: it is a pool only, and all leave them out."""
        labelled = any(name == dataset for name, _ in self.leak_sets())
        return set() if labelled else self.pools().get(dataset, set())

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
        """Return the records that an import waits for: of the files as they came, or of the parts' stores."""
        parts = self.catalogue.dataset(dataset).joins
        made = [self._paths.canonical(part) / name for part in parts for name in ("import.json", "lungs.json")]
        return made or [self._paths.raw(self.catalogue.files_of(dataset)) / "fetched.json"]
