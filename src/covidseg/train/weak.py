"""Helpers of methods that make labels: slices with image labels, their attention maps, labels from maps.

``maps.h5``: ``index`` int32 (n,), rows of the tensors; a map uint8 (n, h, w) by name, 255 for certainty; for a
classifier also ``epochs`` uint8 (n, e, h, w), the maps of the epochs that the attribute ``epochs`` names.
``labels.h5``: ``index`` and ``labels`` uint8 (n, H, W) of the training slices: 0, 1, or 255 where there is no label.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from covidseg import nets
from covidseg.base import files, records
from covidseg.data import tensors
from covidseg.data.full import hdf5
from covidseg.data.tensors import resize
from covidseg.nets import published
from covidseg.saliency import predictor
from covidseg.train import attention, fitting, image_labels
from covidseg.train.device import autocast, place, prepare
from covidseg.train.image_labels import ImageLabelled
from covidseg.train.job import Job, Progress
from covidseg.train.loader import PART, U8, Rows, SliceLoader, Slices, evaluation_batch, in_batches, rows_by_role
from covidseg.train.loop import Loop
from covidseg.train.predict import save_model
from covidseg.train.resume import Resume

MAPS, LABELS = "maps.h5", "labels.h5"


@dataclass
class Data:
    """The slices of a fold: their tensors, with one label each, with their truth, rows by role, and all rows in order.

    ``sick``: of all rows, whether the slice shows the lesion; that of test slices is only compared with.
    """

    loaded: tensors.Tensors
    images: ImageLabelled
    truth: Slices
    roles: dict[str, Rows]
    every: Rows
    sick: np.ndarray


def load(job: Job) -> Data:
    """Return the slices of a job's fold. Raises UserError when all training slices have the same label."""
    loaded = tensors.load(job.tensors)
    images, truth = ImageLabelled(loaded, job.class_values), Slices(loaded, job.class_values)
    roles = rows_by_role(job, loaded)
    every = np.unique(np.concatenate(list(roles.values())))
    sick = np.concatenate([image_labels.shown(images, rows) for rows in in_batches(every, PART)])
    data = Data(loaded, images, truth, roles, every, sick)
    image_labels.check_both(job, sick[places(data, roles["train"])])
    return data


def places(data: Data, rows: Rows) -> Rows:
    """Return where rows stand among all rows of the fold."""
    return np.searchsorted(data.every, rows)


class Accumulating(Loop):
    """A training of a classifier that adds up its attention maps after each epoch."""

    data: Data
    accumulated: attention.Accumulated
    epochs: list[int]

    def watch(self, data: Data) -> None:
        """Add up the maps of these slices; call it before ``run``."""
        settings: Any = self.settings
        self.data = data
        self.epochs = attention.kept_epochs(settings.from_epoch, settings.epochs, settings.snapshots)
        with torch.no_grad():
            x, _ = next(self.loader.batches([data.every[:1]]))
            self.model.eval()
            shape = self.model(x)["cam"].shape[2:]
        self.accumulated = attention.Accumulated(len(data.every), (shape[0], shape[1]), len(self.epochs))

    def _close_epoch(self) -> None:
        super()._close_epoch()
        settings: Any = self.settings
        if self.epoch < settings.from_epoch:
            return
        training = np.isin(self.data.every, self.data.roles["train"])
        # Of a training slice its label says whether the lesion is there, of the others only the classifier can.
        wanted = np.flatnonzero(~training | self.data.sick)
        p, maps = look(self.model, self.loader, self.data.every[wanted])
        found = p >= settings.found
        self.accumulated.add(wanted[found], maps[found])
        if self.epoch in self.epochs:
            self.accumulated.keep(self.epochs.index(self.epoch), wanted[found], maps[found])

    def _state(self) -> dict[str, Any]:
        arrays = self.accumulated.state()
        return super()._state() | {"attention": {name: torch.from_numpy(array) for name, array in arrays.items()}}

    def _restore(self, state: dict[str, Any]) -> None:
        super()._restore(state)
        self.accumulated.restore({name: tensor.numpy() for name, tensor in state["attention"].items()})


def look(model: nn.Module, loader: SliceLoader, rows: Rows) -> tuple[np.ndarray, np.ndarray]:
    """Return the probability of the lesion (n,) and the normalised attention map (n, h, w) of some slices."""
    model.eval()
    p, maps = [np.zeros(0, np.float32)], []
    for x, _ in loader.batches(in_batches(rows, evaluation_batch(loader.size, loader.device))):
        with torch.inference_mode(), autocast(x.device):
            outputs = model(x)
        p.append(torch.sigmoid(outputs["logits"].float()).flatten().cpu().numpy())
        maps.append(attention.normalised(outputs["cam"].float()[:, 0].cpu().numpy()))
    return np.concatenate(p), np.concatenate(maps) if maps else np.zeros((0, 1, 1), np.float32)


def classify(job: Job, data: Data, progress: Progress) -> dict[str, Any]:
    """Train the classifier on the training slices; write model, history and ``maps.h5``; return the facts.

    The resume state stays until the caller is done with the job.
    """
    start = time.perf_counter()
    loader = SliceLoader([data.images], job.spec.input.mode, prepare(job.device, job.spec.threads, job.spec.precision))
    torch.manual_seed(int(job.random(-1).integers(2**63)))
    new = nets.build(job.spec.net, job.spec.input.channels, job.out_channels)
    if job.weights:
        published.load(new.get_submodule("encoder"), job.weights)
    model = place(new, loader.device)
    resume = Resume(job.out, job.identity(loader.device.type, torch.__version__))
    fit = Accumulating(job, model, loader, data.roles["train"], data.roles["val"], resume)
    fit.watch(data)
    fit.run(progress)
    save_model(model, job.spec, job.out / "model.safetensors")
    fit.write_history(job.out / "history.csv")
    made = fit.accumulated
    write_maps(
        job.out / MAPS, data.every, {name: attention.to_8bit(maps) for name, maps in made.maps.items()},
        made.kept, fit.epochs,
    )  # fmt: skip
    at = places(data, data.roles["test"])
    p, _ = look(model, loader, data.roles["test"])
    facts = fitting.facts(fit, start) | {"slices": {role: len(rows) for role, rows in data.roles.items()}}
    return facts | {
        "image_labels": {role: int(data.sick[places(data, rows)].sum()) for role, rows in data.roles.items()},
        "accuracy": _rounded(image_labels.accuracy(p, data.sick[at])) if len(at) else None,
        "auc": _rounded(image_labels.auc(p, data.sick[at])),
        "found": int((made.times > 0).sum()),
    }


def take_over(job: Job, file: str) -> dict[str, Any]:
    """Copy another run's model, history and maps; return its facts."""
    from covidseg.jobs import record

    (other,) = job.references.values()
    made = record.read(other.out / "run.json")
    for name in ("model.safetensors", "history.csv", file):
        files.copy(other.out / name, job.out / name)
    keys = ["device", "processor", "parameters", "best_epoch", "val_dsc", "epochs", "slices_per_second", "slices"]
    keys += ["image_labels", "accuracy", "auc", "found", "notes"]
    return {key: made[key] for key in keys if key in made} | {"resumed": False, "taken_from": made["run"]}


def write_maps(
    path: Path, rows: Rows, maps: dict[str, U8], kept: U8 | None = None, epochs: list[int] | None = None
) -> None:
    """Write ``maps.h5``; see the head of this file."""
    with hdf5(path) as writer:
        writer.file.create_dataset("index", data=rows.astype(np.int32), track_times=False)
        if kept is not None:
            writer.file.attrs["epochs"] = json.dumps(epochs)
            maps = maps | {"epochs": kept}
        for name, array in maps.items():
            writer.file.create_dataset(name, data=array, chunks=(1, *array.shape[1:]), compression=1, track_times=False)
            writer.check()


def read_maps(path: Path, name: str) -> tuple[Rows, U8]:
    """Return rows and maps (n, h, w) of a way of fusing. Raises UserError when the file is missing or damaged."""
    import h5py

    with records.parsing(path), h5py.File(path) as file:
        return file["index"][()].astype(np.int64), file[name][()]


def check_rows(path: Path, index: Rows, data: Data) -> None:
    """Raise UserError when maps are of other slices than those of the fold, as of another split."""
    if index.tolist() != data.every.tolist():
        raise records.damaged(path, "maps of other slices than this fold's")


def write_labels(job: Job, data: Data, fusion: str) -> dict[str, Any]:
    """Write ``labels.h5`` of the training slices and ``predictions.h5`` of the test slices from ``maps.h5``.

    Return the facts for the record: pixels of each kind, and the mean Dice over training slices with lesion of the
    labels and of the maps, where the truth is known; it is only compared.
    """
    settings: Any = job.spec.train
    index, maps = read_maps(job.out / MAPS, fusion)
    check_rows(job.out / MAPS, index, data)
    size = (data.loaded.image.shape[1], data.loaded.image.shape[2])
    source = getattr(settings, "saliency", None)
    salient = predictor(source, job.saliency_weights, job.device) if source else None
    train, test = data.roles["train"], data.roles["test"]
    pixels = np.zeros(256, np.int64)
    scores: list[float] = []
    with hdf5(job.out / LABELS) as writer:
        append = writer.slices("labels", train, size)
        for row, at in zip(train.tolist(), places(data, train), strict=True):
            label = np.zeros(size, np.uint8)  # a slice without lesion is background
            if data.sick[at]:
                one = np.array([row])
                found = resize(maps[at], size)
                if salient is None:  # what is not lesion is background
                    label = (found >= round(settings.foreground * 255)).astype(np.uint8)
                else:
                    saliency = salient(data.loaded.image[one][0], data.loaded.lung[one][0])
                    label = attention.merge(found, saliency, settings.foreground, settings.background)
                if not data.loaded.image_labels:
                    scores.append(dice(label == 1, data.truth.target(one)[0] > 0))
            append(label[None])
            pixels += np.bincount(label.ravel(), minlength=256)
    with hdf5(job.out / "predictions.h5") as writer:
        writer.file.attrs["classes"] = json.dumps(job.spec.classes)
        append = writer.slices("prob", test, (1, *size))
        for at in places(data, test):
            append(attention.probability(resize(maps[at], size), settings.foreground)[None, None])
    facts = {
        "pixels": {"background": int(pixels[0]), "lesion": int(pixels[1]), "without": int(pixels[255])},
        "dice": _rounded(float(np.mean(scores))) if scores else None,
        "dice_of_maps": {} if data.loaded.image_labels else map_quality(job, data, settings.foreground),
        "saliency": source,
        "fusion": fusion,
    }
    none = ["the labels hold no lesion: no training slice was found, or attention nowhere reached train.foreground"]
    return {"labels": facts, "notes": none if not pixels[1] else []}


def map_quality(job: Job, data: Data, foreground: float) -> dict[str, float]:
    """Return the mean Dice of the maps at the threshold over the training slices with lesion, for each way of fusing.

    It is only compared: nothing is chosen by it.
    """
    import h5py

    sick = data.roles["train"][data.sick[places(data, data.roles["train"])]]
    size = (data.loaded.image.shape[1], data.loaded.image.shape[2])
    out: dict[str, float] = {}
    with h5py.File(job.out / MAPS) as file:
        for name in (key for key in file if key not in ("index", "epochs")):
            maps = file[name][()]
            scores = [
                dice(resize(maps[at], size) >= round(foreground * 255), data.truth.target(np.array([row]))[0] > 0)
                for row, at in zip(sick.tolist(), places(data, sick), strict=True)
            ]
            out[name] = float(_rounded(float(np.mean(scores))) or 0.0)
    return out


def dice(a: np.ndarray, b: np.ndarray) -> float:
    """Return the Dice coefficient of two masks; 1 where both are empty."""
    both = int(a.sum()) + int(b.sum())
    return 2 * int((a & b).sum()) / both if both else 1.0


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
