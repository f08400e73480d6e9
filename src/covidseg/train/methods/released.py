"""No training: maps that others released become the predictions, each at its slice's own size."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from pydantic import Field, model_serializer

from covidseg.base import csvfile
from covidseg.base.errors import UserError
from covidseg.base.files import replacing
from covidseg.schema.base import Name
from covidseg.schema.training import Training
from covidseg.train.job import Job, Progress

if TYPE_CHECKING:
    from covidseg.data.canonical import U8


class Released(Training):
    """Nothing is trained: others released their maps of the test slices, and these are the predictions.

    A run of this method has no network and no losses. Phantoms have no such maps, so in demo mode it is not made.
    """

    WRITES: ClassVar[tuple[str, ...]] = ()

    method: Literal["released"]
    maps: Name = Field(description="The data set that holds the maps.")
    folders: dict[Name, str] = Field(description="Class -> folder of its maps.")
    epochs: int = Field(0, ge=0, le=0)

    @model_serializer
    def _decisive(self) -> dict[str, Any]:
        """Return what decides the result: nothing of a training does."""
        return {"method": self.method, "maps": self.maps, "folders": self.folders}


def train(job: Job, progress: Progress) -> dict[str, Any]:
    """Write the maps of the fold's test slices as predictions; return the facts. See ``covidseg.train.run``.

    Where no map is there, there are no predictions, and ``notes`` say so; where some are and some are not: UserError.
    A map of another size than its slice is brought to it as Inf-Net's toolbox does. The model is a file without
    weights, the history one without epochs.
    """
    from covidseg.data import splits
    from covidseg.data.canonical import Store
    from covidseg.data.maps import case_of
    from covidseg.data.tensors import read_rows

    start = time.perf_counter()
    assert isinstance(job.spec.train, Released)
    assert job.maps is not None
    folders = [job.spec.train.folders[name] for name in job.spec.classes]
    tested = set(splits.read(job.split).cases(job.fold, "test"))
    rows = {i: row for i, row in enumerate(read_rows(job.tensors)) if row["case"] in tested}
    with Store(job.maps) as store:
        names = {i: [case_of(folder, row["case"]) for folder in folders] for i, row in rows.items()}
        wanted = {name for found in names.values() for name in found}
        missing = sorted(wanted - set(store.cases()))
        if missing and len(missing) < len(wanted):
            raise UserError(f"{store.path}: no map {missing[0]!r}; fetch {job.spec.train.maps} again")
        maps = {
            i: np.stack([_fit(store.image(name)[row["position"]], row) for name in names[i]])
            for i, row in rows.items()
            if not missing
        }
    _write_predictions(job, maps)
    csvfile.write(job.out / "history.csv", ["epoch"], [])
    _write_no_model(job)
    progress(1, 1, f"{len(maps)} maps")
    return {
        "device": "none",
        "parameters": 0,
        "best_epoch": None,
        "seconds": round(time.perf_counter() - start, 2),
        "notes": ["maps not found" if missing else "maps released by others; nothing was trained"],
    }


def _fit(found: U8, row: dict[str, Any]) -> U8:
    from covidseg.base.images import resized

    shape = (row["height"], row["width"])
    return found if found.shape == shape else resized(found, shape)


def _write_predictions(job: Job, maps: dict[int, U8]) -> None:
    """Write ``predictions.h5``: maps padded to the largest, and ``size`` (N, 2), the height and width of each."""
    from covidseg.data.full import hdf5

    sizes = np.array([m.shape[1:] for m in maps.values()], np.int32).reshape(-1, 2)
    height, width = sizes.max(0, initial=1)
    prob = np.zeros((len(maps), len(job.spec.classes), height, width), np.uint8)
    for padded, m in zip(prob, maps.values(), strict=True):
        padded[:, : m.shape[1], : m.shape[2]] = m
    with hdf5(job.out / "predictions.h5") as writer:
        writer.file.attrs["classes"] = json.dumps(job.spec.classes)
        writer.file.create_dataset("index", data=np.array(list(maps), np.int32), track_times=False)
        writer.file.create_dataset("size", data=sizes, track_times=False)
        writer.file.create_dataset("prob", data=prob, compression=1 if maps else None, track_times=False)
        writer.check()


def _write_no_model(job: Job) -> None:
    from safetensors.numpy import save

    with replacing(job.out / "model.safetensors") as temporary:
        temporary.write_bytes(save({}, {"covidseg": "maps released by others, no model"}))
