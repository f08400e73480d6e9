"""Where data and results lie; the only place that builds such a path."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Paths:
    """The folders of one mode: demo and paper results never mix."""

    data: Path
    results: Path

    def raw(self, dataset: str) -> Path:
        """Return the place of files as they come."""
        return self.data / "raw" / dataset

    def canonical(self, dataset: str) -> Path:
        """Return the place of 8-bit slices, labels and lung masks."""
        return self.data / "canonical" / dataset

    def tensors(self, dataset: str, size: int | str) -> Path:
        """Return the place of arrays at a network's input size."""
        return self.data / "tensors" / dataset / str(size)

    def split(self, split: str) -> Path:
        """Return the place of a split that is made by a rule."""
        return self.data / "splits" / f"{split}.csv"

    def run(self, run: str) -> Path:
        """Return the place of a run's scores and its jobs."""
        return self.results / "runs" / run

    def job(self, run: str, fold: int | str, seed: int | str) -> Path:
        """Return the place of one training: model, history, predictions, run.json."""
        return self.run(run) / f"fold{fold}-seed{seed}"

    def stage(self, run: str, fold: int | str, seed: int | str, stage: str) -> Path:
        """Return the place of one of the jobs that come before a training's last."""
        return self.job(run, fold, seed) / "stages" / stage

    def table(self, paper: str, table: str, suffix: str) -> Path:
        """Return the place of one table."""
        return self.results / "tables" / paper / f"{table}.{suffix}"

    def figure(self, paper: str, figure: str, suffix: str) -> Path:
        """Return the place of one figure."""
        return self.results / "figures" / paper / f"{figure}.{suffix}"

    def claims(self, paper: str, suffix: str) -> Path:
        return self.results / "claims" / f"{paper}.{suffix}"

    def leaks(self, dataset: str, split: str, suffix: str) -> Path:
        """Return the place of one leak check."""
        return self.results / "leaks" / f"{dataset}-{split}.{suffix}"

    def masks(self, run: str) -> Path:
        """Return the place of a run's masks of whole scans, and of their volumes."""
        return self.results / "masks" / run

    @property
    def report(self) -> Path:
        """Return the report."""
        return self.results / "report.html"

    @property
    def configs(self) -> Path:
        """Return the folder of the configurations that workflows ran with."""
        return self.results / "configs"
