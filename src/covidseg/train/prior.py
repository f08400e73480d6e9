"""The prior: another run's map of each slice, as an additional input channel (Inf-Net, section III-D).

The model that makes it is that of the same fold and seed. It learned from the training slices, in the paper too. The
released code shows the truth of training slices instead, and maps of test slices only; validation slices, which stand
in for test slices, show maps in both.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from covidseg.base import files, records
from covidseg.base.errors import UserError
from covidseg.data import tensors
from covidseg.data.full import hdf5
from covidseg.train.job import Job, Progress

FILE = Path("stages", "prior", "prior.h5")  # below a job's folder
Rows = npt.NDArray[np.int64]
U8 = npt.NDArray[np.uint8]


def stage(job: Job, name: str, progress: Progress) -> dict[str, Any]:
    """Write the prior of all slices of the job's fold and return the facts for the record.

    ``index`` int32 (n,): rows of the job's tensors; ``prior`` uint8 (n, H, W) at its input size, round(255 p). Raises
    UserError when the other run's tensors are of other slices.
    """
    from covidseg.train.device import prepare
    from covidseg.train.loader import PART, SliceLoader, Slices, in_batches, rows_by_role
    from covidseg.train.predict import load_model, maps_of

    assert job.spec.input.prior is not None
    start, guide = time.perf_counter(), job.references["prior"]
    own, theirs = tensors.load(job.tensors), tensors.load(guide.tensors)
    if own.columns["slice"] != theirs.columns["slice"]:
        raise UserError(f"{guide.tensors}: other slices than in {job.tensors}; {records.REPAIR}")
    rows = rows_by_role(job, own)
    every = np.unique(np.concatenate(list(rows.values())))
    told = rows["train"] if job.spec.input.prior.train == "truth" else rows["train"][:0]
    predicted = np.setdiff1d(every, told)
    truth = Slices(own, guide.class_values)
    loader = SliceLoader(
        [Slices(theirs, guide.class_values)],
        guide.spec.input.mode,
        prepare(job.device, job.spec.threads, guide.spec.precision),
    )
    model = load_model(guide.out, guide.spec).to(loader.device)
    size = (own.image.shape[1], own.image.shape[2])
    with hdf5(job.out / FILE) as writer:
        append = writer.slices("prior", np.concatenate([told, predicted]), size)
        for part in in_batches(told, PART):
            append(255 * (truth.target(part) > 0).astype(np.uint8))
        for maps in maps_of(model, loader, predicted):
            append(np.stack([tensors.resize(map_, size) for map_ in maps[:, 0]]))
        progress(1, 1, "")
    seconds = round(time.perf_counter() - start, 2)
    return {"passed": False, "predicted": len(predicted), "truth": len(told), "seconds": seconds}


class Maps:
    """The prior of a job's slices: ``maps(rows)`` is uint8 (n, H, W); ``sha256`` of its file."""

    def __init__(self, path: Path) -> None:
        """Open the file. Raises UserError when it is missing or damaged."""
        import h5py

        with records.parsing(path):
            self.sha256 = files.sha256(path)
            self._file = h5py.File(path)
            self._maps = self._file["prior"]
            self._place = {int(row): k for k, row in enumerate(self._file["index"][()])}

    def __call__(self, rows: Rows) -> U8:
        """Return the maps of some rows of the job's tensors; of slices that the job's fold does not use they are 0."""
        out = np.zeros((len(rows), *self._maps.shape[1:]), np.uint8)
        for k, row in enumerate(rows):
            if (place := self._place.get(int(row))) is not None:
                out[k] = self._maps[place]
        return out


def maps(job: Job) -> Maps | None:
    """Return the prior of a job whose network sees one. Raises UserError when its file is missing or damaged."""
    return Maps(job.out / FILE) if job.spec.input.prior else None
