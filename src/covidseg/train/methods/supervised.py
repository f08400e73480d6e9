"""Plain training on labelled slices; the best epoch by validation DSC is kept."""

from __future__ import annotations

import time
from typing import Any, Literal

from covidseg.schema.training import Training
from covidseg.train.job import Job, Progress


class Supervised(Training):
    """Plain training on labelled slices; the best epoch by validation DSC is kept."""

    method: Literal["supervised"] = "supervised"


def train(job: Job, progress: Progress) -> dict[str, Any]:
    """Train on the fold's training cases, write the outputs and return the facts. See ``covidseg.train.run``."""
    from covidseg.data import tensors
    from covidseg.train import fitting, prior
    from covidseg.train.device import prepare
    from covidseg.train.loader import SliceLoader, Slices, rows_by_role
    from covidseg.train.predict import write_predictions
    from covidseg.train.resume import clear

    start = time.perf_counter()
    clear(job.out)
    loaded = tensors.load(job.tensors)
    rows = rows_by_role(job, loaded)
    maps = prior.maps(job)
    slices = Slices(loaded, job.class_values, prior=maps)
    feed = SliceLoader([slices], job.spec.input.mode, prepare(job.device, job.spec.threads))
    fit = fitting.learn(job, feed, rows["train"], rows["val"], progress, *([maps.sha256] if maps else []))
    write_predictions(fit.model, feed, rows["test"], job.spec.classes, job.out / "predictions.h5")
    fit.resume.remove()
    return fitting.facts(fit, start) | {"slices": {role: len(found) for role, found in rows.items()}}
