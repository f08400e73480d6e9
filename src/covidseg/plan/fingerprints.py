"""Hashes of the settings, and the modules, that determine the result of each step.

A rule runs again when one of these changes, and only then.
"""

from __future__ import annotations

from dataclasses import asdict

from covidseg.data.importers import leftout
from covidseg.plan.catalogue import Catalogue
from covidseg.plan.graph import JobGraph
from covidseg.plan.names import fingerprint_of
from covidseg.plan.resolver import Resolver
from covidseg.plan.settings import Settings
from covidseg.plan.targets import Targets
from covidseg.schema import Exhibit, RunSpec

METRIC_PROSE = {"title", "about", "better", "digits", "unit", "summary", "not_comparable"}


class Fingerprints:
    """Per step, a hash of the settings that determine its result, and the modules whose code does."""

    def __init__(
        self, settings: Settings, catalogue: Catalogue, resolver: Resolver, targets: Targets, graph: JobGraph
    ) -> None:
        self.catalogue, self.resolver, self.targets, self.graph = catalogue, resolver, targets, graph
        self._papers = catalogue.papers
        self._config, self._preset_name, self._preset = settings.config, settings.preset_name, settings.preset

    def _dataset_hash(self, dataset: str, *keys: str) -> str:
        return fingerprint_of(self.catalogue.dataset(dataset).model_dump(mode="json", include=set(keys)))

    def fetch(self, dataset: str) -> str:
        """Return the hash of where a data set comes from; in demo mode, of how its phantoms are generated."""
        return self._dataset_hash(dataset, *(("phantom",) if self._config.mode == "demo" else ("sources", "folder")))

    def reading(self, dataset: str) -> str:
        """Return the hash of the settings by which a data set is read."""
        return self._dataset_hash(dataset, "importer", "classes", "window", "folder", "joins", "image_labels")

    def import_(self, dataset: str) -> str:
        """Return the hash of how a data set is read; for a user's folder also of its files' names, sizes and times."""
        own = self.reading(dataset)
        folder = self.catalogue.dataset(dataset).folder
        files = [path for path in leftout.below(folder) if path.is_file()] if folder else []
        return fingerprint_of([own, [(str(f), f.stat().st_size, f.stat().st_mtime_ns) for f in files]])

    def lungs(self, dataset: str) -> str:
        """Return the hash of where lung masks come from."""
        return fingerprint_of([self.catalogue.lungs(dataset), self._dataset_hash(dataset, "window")])

    def tensors(self, dataset: str) -> str:
        """Return the hash of which slices enter the tensors, and of how they are cropped."""
        return fingerprint_of([self._dataset_hash(dataset, "crop", "classes"), self.catalogue.dataset(dataset).kept])

    def leaks(self, dataset: str, split: str) -> str:
        names = [dataset, *self.graph.other_training_sets(dataset)]
        sets = [
            (n, self.catalogue.dataset(n).kept, self.catalogue.dataset(n).classes, sorted(self.graph.unseen(n)))
            for n in names
        ]
        return fingerprint_of([sets, {name: sorted(cases) for name, cases in self.graph.pools(dataset, split).items()}])

    def score(self, run: str) -> str:
        """Return the hash of how a run is scored. The wording of a protocol and its printed digits do not count."""
        protocols = {
            name: self.catalogue.protocol(name).model_dump(
                mode="json", exclude={"title": True, "about": True, "metrics": {"__all__": METRIC_PROSE}}
            )
            for name in self.targets.protocols(run)
        }
        return fingerprint_of([protocols, self.resolver.run(run).jobs, self.resolver.run(run).spec.values])

    def table(self, paper: str, table: str) -> str:
        """Return the hash of a table's rows and of all that its caption says."""
        return self._exhibit(paper, self._papers[paper].tables[table])

    def figure(self, paper: str, figure: str) -> str:
        """Return the hash of what a figure shows and of all that its caption says."""
        return self._exhibit(paper, self._papers[paper].figures[figure])

    def _exhibit(self, paper: str, exhibit: Exhibit) -> str:
        settings = [exhibit.model_dump(mode="json"), self._papers[paper].paper.model_dump(mode="json")]
        reads, decides = asdict(exhibit.reads(self.targets, paper)), exhibit.decides(self.targets, paper)
        return fingerprint_of([settings, reads, decides, self._config.mode, self._preset_name])

    def split(self, split: str) -> str:
        """Return the hash of how a split is made."""
        made = self.catalogue.made_split(split)
        return fingerprint_of(
            [made, self._dataset_hash(made[0], "keep", "classes", "unions", "image_labels")] if made else None
        )

    def masks(self, masks: str) -> str:
        """Return the hash of what the masks of whole scans are predicted from, and of how they are written."""
        run, dataset = self.targets.masks_of(masks)
        reading = self._dataset_hash(dataset, "crop", "classes", "importer")
        return fingerprint_of([run.hash, run.jobs, reading])

    def claims(self, paper: str) -> str:
        about = [self.resolver.caveats(self.resolver.run(run)) for run in self.targets.claim_runs(paper)]
        claims = [asdict(claim) for claim in self._papers[paper].tested]
        metrics = [
            self.catalogue.protocol(c.protocol).metrics[c.metric].model_dump(mode="json")
            for c in self._papers[paper].tested
        ]
        return fingerprint_of([claims, metrics, about, self._config.mode, self._preset_name])

    def report(self) -> str:
        """Return the hash of everything in the report other than results."""
        papers = [self._papers[name].model_dump(mode="json") for name in self._config.papers]
        datasets = [self.catalogue.dataset(name).model_dump(mode="json") for name in self.graph.all_datasets()]
        caveats = [self.resolver.caveats(self.resolver.run(run)) for run in self.graph.all_runs()]
        config = self._config.model_dump(mode="json", include={"mode", "preset", "only", "folds", "seeds"})
        return fingerprint_of([config, self._preset.model_dump(mode="json"), papers, datasets, caveats])

    def train_modules(self, spec: RunSpec) -> list[str]:
        """Return the modules whose code determines a training."""
        net = [f"nets.{spec.net['name']}"] if spec.net else []
        return [f"train.methods.{spec.train.method}", *net, *(f"losses.{name}" for name in spec.losses)]

    def lung_modules(self, dataset: str) -> list[str]:
        """Return the modules whose code determines a data set's lung masks."""
        trained = ["lungs.trained"] if self.catalogue.lung_source(dataset)["run"] else []
        return ["lungs", f"lungs.sources.{self.catalogue.lungs(dataset)}", *trained]
