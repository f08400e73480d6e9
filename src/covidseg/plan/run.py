"""One resolved run."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from covidseg.plan.names import fingerprint_of, qualified
from covidseg.schema import RunSpec
from covidseg.schema.references import Reference, references


@dataclass(frozen=True)
class Run:
    """One resolved run of a paper, with the folds and seeds to make."""

    id: str
    spec: RunSpec
    folds: tuple[int, ...]
    all_folds: tuple[int, ...]
    seeds: tuple[int, ...]
    scaled: tuple[str, ...] = field(default=(), metadata={"what": "settings the preset changed"})
    stand_ins: tuple[tuple[str, str], ...] = ()  # (the paper's data set, the one used in its place)
    released: tuple[str, ...] = ()  # deviations that follow the released code
    net: dict[str, Any] = field(default_factory=dict, metadata={"what": "the network before the preset scaled it"})
    saliency: str | None = None  # the paper's source of saliency
    written_epochs: int = 0  # of the longest part, before the preset scaled them
    stage_jobs: bool = True  # whether each of its stages is a job of its own

    @property
    def jobs(self) -> list[tuple[int, int]]:
        """Return (fold, seed) of every training."""
        return [(fold, seed) for fold in self.folds for seed in self.seeds]

    @property
    def jobs_before(self) -> list[str]:
        """Return the stages of a training that are jobs of their own, before its last job."""
        return self.spec.stages if self.stage_jobs else []

    @property
    def epochs_in_words(self) -> str:
        """Return the epochs that a training really has, and those that its paper file names where a preset scaled them.

        As ``150 epochs`` or ``30 epochs instead of 150``; empty where nothing is trained.
        """
        if self.spec.maps:
            return ""
        epochs = self.spec.train.most_epochs
        said = f"{epochs} epoch{'s' if epochs != 1 else ''}"
        return said if epochs == self.written_epochs else f"{said} instead of {self.written_epochs}"

    @property
    def outputs(self) -> int:
        """Return the number of channels that the network predicts: one, or background and one a class."""
        return len(self.spec.classes) + (len(self.spec.classes) > 1)

    @property
    def hash(self) -> str:
        """Return the fingerprint of the resolved spec. A result is valid only if it was made from this one."""
        return fingerprint_of(self.spec.model_dump(mode="json"))

    @property
    def tensors(self) -> list[tuple[str, int]]:
        """Return (data set, size) of the tensors of the run's data set, then those of its pool."""
        names = [self.spec.dataset, *([self.spec.pool.dataset] if self.spec.pool else [])]
        return [(name, self.spec.input.size) for name in dict.fromkeys(names)]

    @property
    def references(self) -> dict[str, Reference]:
        """Return role -> reference to another run, of which a file of the same fold and seed is read."""
        paper = self.id.partition("/")[0]
        found = (replace(each, run=qualified(paper, each.run)) for each in references(self.spec))
        return {each.role: each for each in found}
