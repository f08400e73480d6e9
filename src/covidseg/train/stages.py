"""Helpers of methods with several stages: folders, the pool, a first model of another run. No torch is imported."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from covidseg.base import files
from covidseg.base.errors import UserError
from covidseg.jobs import record
from covidseg.schema.training import Pool
from covidseg.train.job import Job

if TYPE_CHECKING:
    from covidseg.data import tensors

UNLABELLED = "unlabelled"  # the role of slices without labels
Rows = npt.NDArray[np.int64]


def folder(out: Path, name: str) -> Path:
    """Return the folder of one stage of a job."""
    return out / "stages" / name


def pool_of(job: Job, pool: Pool) -> tuple[tensors.Tensors, Rows, Rows]:
    """Return the pool's tensors, the rows of the pool in them, and those of these whose truth is known."""
    from covidseg.data import tensors

    assert job.pool is not None
    loaded = tensors.load(job.pool)
    cases, roles = (np.array(loaded.columns[key], dtype=str) for key in ("case", "role"))
    unknown = sorted({*pool.without} - {*cases.tolist()})
    if unknown:
        raise UserError(f"train.pool.without: no case {unknown[0]!r} in {job.pool}; correct the name")
    inside = ~np.isin(cases, pool.without)
    if job.pool == job.tensors:
        inside &= roles == UNLABELLED
    rows = np.flatnonzero(inside)
    if not len(rows):
        raise UserError(f"train.pool: {pool.dataset} has no unlabelled slice; name another data set")
    return loaded, rows, rows[roles[rows] != UNLABELLED]


def take_over(start: Path, out: Path) -> dict[str, Any]:
    """Copy another run's training: the same settings would give the same model."""
    made = record.read(start / "run.json")
    for name in ("model.safetensors", "history.csv"):
        files.copy(start / name, out / name)
    keys = ["device", "processor", "parameters", "best_epoch", "val_dsc", "epochs", "slices_per_second", "resumed"]
    keys += ["notes", "class_pixels", "class_weights"]
    return {key: made[key] for key in keys if key in made} | {
        "labelled": made["slices"]["train"],
        "pseudo": 0,
        "seconds": 0.0,
        "taken_from": made["run"],
    }
