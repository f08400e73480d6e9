"""What decides each step's result, as hashes and modules: rules rerun when these change, and only then."""

from __future__ import annotations

import functools
from dataclasses import replace
from pathlib import Path
from typing import Any

from covidseg.jobs import leases
from covidseg.plan.asked import Asked
from covidseg.plan.needs import Needs, training_memory, training_minutes
from covidseg.plan.run import STANDARD, fingerprint_of
from covidseg.schema import ResultTable, RunSpec

METRIC_PROSE = {"title", "about", "better", "digits", "unit", "not_comparable"}


class Hashed(Asked):
    """What is asked for, what makes each of its steps run again, and what its jobs need."""

    def _dataset_hash(self, dataset: str, *keys: str) -> str:
        return fingerprint_of(self.dataset(dataset).model_dump(mode="json", include=set(keys)))

    def fetch_hash(self, dataset: str) -> str:
        """Return the hash of where a data set comes from, or of how its twin looks."""
        return self._dataset_hash(dataset, *(("phantom",) if self.config.mode == "demo" else ("sources", "folder")))

    def import_hash(self, dataset: str) -> str:
        """Return the hash of how a data set is read; of a user's folder also of its files' names, sizes and times."""
        own = self._dataset_hash(dataset, "importer", "classes", "window", "folder", "joins")
        folder = self.dataset(dataset).folder
        files = sorted(path for path in folder.rglob("*") if path.is_file()) if folder else []
        return fingerprint_of([own, [(str(f), f.stat().st_size, f.stat().st_mtime_ns) for f in files]])

    def imported_from(self, dataset: str) -> list[Path]:
        """Return the records that an import waits for: of the files as they came, or of the parts' stores."""
        parts = self.dataset(dataset).joins
        made = [self.paths.canonical(part) / name for part in parts for name in ("import.json", "lungs.json")]
        return made or [self.paths.raw(dataset) / "fetched.json"]

    def lungs_hash(self, dataset: str) -> str:
        """Return the hash of where lung masks come from."""
        return fingerprint_of([self.lungs(dataset), self._dataset_hash(dataset, "window")])

    def tensors_hash(self, dataset: str) -> str:
        """Return the hash of which part of which slices enters the tensors."""
        return fingerprint_of([self._dataset_hash(dataset, "crop", "classes"), self.dataset(dataset).kept])

    def leaks_hash(self, dataset: str, split: str) -> str:
        names = [dataset, *self.trained_beside(dataset)]
        sets = [(n, self.dataset(n).kept, self.dataset(n).classes, sorted(self.unseen(n))) for n in names]
        return fingerprint_of([sets, {name: sorted(cases) for name, cases in self.pools(dataset, split).items()}])

    def score_hash(self, run: str) -> str:
        """Return the hash of how a run is scored; how a protocol is worded or printed does not count."""
        protocols = {
            name: self.protocol(name).model_dump(
                mode="json", exclude={"title": True, "about": True, "metrics": {"__all__": METRIC_PROSE}}
            )
            for name in self.protocols(run)
        }
        return fingerprint_of([protocols, self.run(run).jobs, self.run(run).spec.values])

    def table_hash(self, paper: str, table: str) -> str:
        """Return the hash of a table's rows and of all that its caption says."""
        model, head = self.papers[paper].tables[table], self.papers[paper].paper
        about: list[Any] = [
            model.model_dump(mode="json"),
            head.model_dump(mode="json"),
            self.config.mode,
            self.preset_name,
        ]
        if isinstance(model, ResultTable):
            about += [
                [self.caveats(run), run.released, run.jobs] for run in map(self.run, self.table_runs(paper, model))
            ]
            about += [self.protocol(name).model_dump(mode="json") for name in (model.protocol, STANDARD)]
        else:
            about += [self._dataset_hash(n, "classes", "unions", "crop") for n in self.table_datasets(model)]
        return fingerprint_of(about)

    def figure_hash(self, paper: str, figure: str) -> str:
        """Return the hash of what a figure shows."""
        data = [[n, self._dataset_hash(n, "classes", "unions")] for n in self.figure_datasets(paper, figure)]
        model = self.papers[paper].figures[figure].model_dump(mode="json")
        return fingerprint_of([model, self.figure_jobs(paper, figure), data, self.config.mode])

    def split_hash(self, split: str) -> str:
        """Return the hash of how a split is made."""
        made = self.made_split(split)
        return fingerprint_of([made, self._dataset_hash(made[0], "keep", "classes", "unions")] if made else None)

    def masks_hash(self, run: str) -> str:
        """Return the hash of what a run's masks of whole scans are made of, and how they are written."""
        resolved = self.run(run)
        reading = self._dataset_hash(resolved.spec.dataset, "crop", "classes", "importer")
        return fingerprint_of([resolved.hash, resolved.jobs, reading])

    def claims_hash(self, paper: str) -> str:
        about = [self.caveats(self.run(run)) for run in self.claim_runs(paper)]
        claims = [claim.model_dump(mode="json") for claim in self.papers[paper].claims]
        metrics = [
            self.protocol(c.protocol).metrics[c.metric].model_dump(mode="json") for c in self.papers[paper].claims
        ]
        return fingerprint_of([claims, metrics, about, self.config.mode, self.preset_name])

    def report_hash(self) -> str:
        """Return the hash of all that the report says besides results."""
        papers = [self.papers[name].model_dump(mode="json") for name in self.config.papers]
        datasets = [self.dataset(name).model_dump(mode="json") for name in self.all_datasets()]
        caveats = [self.caveats(self.run(run)) for run in self.all_runs()]
        config = self.config.model_dump(mode="json", include={"mode", "preset", "only", "folds", "seeds"})
        return fingerprint_of([config, self.preset.model_dump(mode="json"), papers, datasets, caveats])

    def train_modules(self, spec: RunSpec) -> list[str]:
        """Return the modules behind a training."""
        net = [f"nets.{spec.net['name']}"] if spec.net else []
        return [f"train.methods.{spec.train.method}", *net, *(f"losses.{name}" for name in spec.losses)]

    def lung_network(self, dataset: str) -> bool:
        """Return whether a data set's lung masks are made by a network."""
        return self.lungs(dataset) not in ("labels", "threshold", "none")

    def lung_modules(self, dataset: str) -> list[str]:
        """Return the modules behind a data set's lung masks."""
        source = self.lungs(dataset)
        own = {"threshold": ["lungs.threshold"], "phantom": ["lungs.trained"]}
        return ["lungs", *own.get(source, ["lungs.published"] if self.lung_network(dataset) else [])]

    @functools.cached_property
    def _gpus(self) -> int:
        return leases.gpus(self.config.device)

    def training_needs(self, spec: RunSpec) -> Needs:
        """Return what each job of a training asks for, be it a stage or the last; without a network no GPU."""
        gpus = self._gpus if spec.net else 0
        return Needs(training_memory(spec, gpu=gpus > 0), training_minutes(spec), gpus, spec.threads)

    def masks_needs(self, spec: RunSpec) -> Needs:
        """Return what the masks of a run's whole scans ask for: a scan and its maps come on top, and a day."""
        needs = self.training_needs(spec)
        return replace(needs, memory_mb=2000 + needs.memory_mb, minutes=1440)
