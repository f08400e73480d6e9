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
        return self.data / "raw" / dataset

    def canonical(self, dataset: str) -> Path:
        return self.data / "canonical" / dataset

    def tensors(self, dataset: str, size: int | str) -> Path:
        return self.data / "tensors" / dataset / str(size)

    def run(self, run: str) -> Path:
        return self.results / "runs" / run

    def job(self, run: str, fold: int | str, seed: int | str) -> Path:
        return self.run(run) / f"fold{fold}-seed{seed}"

    def table(self, paper: str, table: str, suffix: str) -> Path:
        return self.results / "tables" / paper / f"{table}.{suffix}"

    def figure(self, paper: str, figure: str, suffix: str) -> Path:
        return self.results / "figures" / paper / f"{figure}.{suffix}"

    def leaks(self, dataset: str, split: str, suffix: str) -> Path:
        return self.results / "leaks" / f"{dataset}-{split}.{suffix}"

    @property
    def report(self) -> Path:
        return self.results / "report.html"

    @property
    def config(self) -> Path:
        return self.results / "config.yaml"
