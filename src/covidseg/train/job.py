"""The inputs of one training: run, fold, seed, data and folders."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from covidseg.schema import RunSpec

OUTPUTS = ("model.safetensors", "history.csv", "predictions.h5")
Progress = Callable[[float, float, str], None]  # epochs done (with fractions), epochs in all, how it stands


@dataclass(frozen=True)
class Job:
    """One run, fold and seed.

    tensors: the folder of ``image.npy``, ``lung.npy``, ``label.npy`` and ``slices.csv``; split: the CSV of
    fold, case and role; out: the folder of the results. class_values: foreground class -> the label values it joins,
    in the order of ``spec.classes``; a class without values takes its truth from ``lung.npy``. code: fingerprint of
    the source, so that a checkpoint from before a change of code is not continued. pool: the folder of the
    unlabelled slices' tensors, and pool_values: which of their label values are lesion, as far as they have labels;
    references: role -> the finished training of another run, of which a file is read in that role, as ``start``. maps:
    the store of others' maps of the test slices; weights: the file of published weights that the encoder starts from;
    saliency_weights: that of the network that finds saliency.
    stream tells the trainings of one job apart: none is that of the first. No stream may end in 0, as numpy takes a
    missing number for a 0.
    """

    spec: RunSpec
    fold: int
    seed: int
    tensors: Path
    split: Path
    out: Path
    class_values: dict[str, tuple[int, ...]]
    device: Literal["auto", "cpu", "cuda"] = "auto"
    code: str = ""
    pool: Path | None = None
    pool_values: tuple[int, ...] = ()
    references: dict[str, Job] = field(default_factory=dict)
    maps: Path | None = None
    weights: Path | None = None
    saliency_weights: Path | None = None
    stream: tuple[int, ...] = ()

    @property
    def out_channels(self) -> int:
        """Return the channels of the logits: one for a binary task, else one for background too."""
        return out_channels(self.spec)

    @property
    def lung_masks(self) -> bool:
        """Return whether the labelled slices have lung masks; without them those of a pool do not count either."""
        return self.spec.lungs != "none"

    def random(self, epoch: int) -> np.random.Generator:
        """Return the random generator of one epoch; -1 is the initialisation. Resuming needs no stored generator."""
        return np.random.default_rng([self.seed, self.fold, epoch + 1, *self.stream])

    def identity(self, *more: object) -> str:
        """Return a hash of all inputs of the result. A checkpoint with another identity is not used."""
        folders = [self.tensors, *([self.pool] if self.pool else [])]
        stats = [(folder / f"{name}.npy").stat() for folder in folders for name in ("image", "lung", "label")]
        parts = [
            self.spec.model_dump_json(),
            self.fold,
            self.seed,
            self.class_values,
            self.split.read_text("utf-8"),
            self.code,
            self.stream,
        ]
        parts += [(stat.st_size, stat.st_mtime_ns) for stat in stats]
        return hashlib.sha256(repr((*parts, *more)).encode()).hexdigest()


def out_channels(spec: RunSpec) -> int:
    """Return the number of channels of a run's logits."""
    return 1 if len(spec.classes) == 1 else len(spec.classes) + 1


def clear(folder: Path, more: tuple[str, ...] = ()) -> None:
    """Remove what would look finished, the record first, and what a killed job left half-written.

    ``more``: files that a method writes besides those of all. The resume state stays.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("run.json", *OUTPUTS, *more):
        (folder / name).unlink(missing_ok=True)
    for name in (*OUTPUTS, *more, "run.json", "resume.pt"):
        for left in folder.glob(f".{name}.*"):
            left.unlink()
