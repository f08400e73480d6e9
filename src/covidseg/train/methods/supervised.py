"""Plain training on labelled slices; the best epoch by validation DSC is kept."""

from __future__ import annotations

import time
from typing import Annotated, Any, Literal

from pydantic import Field

from covidseg.schema.base import RunId, Strict
from covidseg.schema.references import Refers, of_same_slices
from covidseg.schema.training import Training
from covidseg.train.job import Job, Progress

LABELS = "labels.h5"


class Labels(Strict):
    """Label maps that another run made, in place of the truth of the training slices."""

    run: Annotated[RunId, Refers("labels", LABELS, of_same_slices)] = Field(
        description="A run whose method writes label maps, with the same data set, split, classes and size."
    )


class Supervised(Training):
    """Plain training on labelled slices; the best epoch by validation DSC is kept.

    With ``labels`` the training slices have the label maps of another run; validation and test keep the truth.
    """

    method: Literal["supervised"] = "supervised"
    labels: Labels | None = Field(
        None, exclude_if=lambda labels: labels is None, description="Absent: the truth is learned."
    )

    @property
    def leaves_unlabelled(self) -> bool:
        """Return whether some pixels may have no label, as those of another run's maps."""
        return self.labels is not None


def train(job: Job, progress: Progress) -> dict[str, Any]:
    """Train on the fold's training cases, write the outputs and return the facts. See ``covidseg.train.run``."""
    from covidseg.data import tensors
    from covidseg.train import fitting, prior
    from covidseg.train.device import prepare
    from covidseg.train.loader import SliceLoader, Slices, rows_by_role
    from covidseg.train.predict import write_predictions
    from covidseg.train.relabelled import Relabelled

    start = time.perf_counter()
    loaded = tensors.load(job.tensors)
    rows = rows_by_role(job, loaded)
    maps = prior.maps(job)
    slices, more = Slices(loaded, job.class_values, prior=maps), [maps.sha256] if maps else []
    if made := job.references.get("labels"):
        slices = Relabelled(loaded, job.class_values, rows["train"], made.out / LABELS, prior=maps)
        more.append(slices.sha256)
    loader = SliceLoader([slices], job.spec.input.mode, prepare(job.device, job.spec.threads, job.spec.precision))
    fit = fitting.learn(job, loader, rows["train"], rows["val"], progress, *more)
    write_predictions(fit.model, loader, rows["test"], job.spec.classes, job.out / "predictions.h5")
    fit.resume.remove()
    return fitting.facts(fit, start) | {"slices": {role: len(found) for role, found in rows.items()}}
