"""Labels from a classifier: its attention maps, accumulated over the epochs, and saliency make a label map per slice.

A weakly supervised learning method based on attention fusion (JIFS-210569, 2021), section 3.1: each training slice says
only whether it shows the lesion. ``maps.h5`` holds the maps, ``labels.h5`` the label maps that another run learns.
"""

from __future__ import annotations

import time
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, ValidationInfo, field_validator

from covidseg.schema.base import Finite, Positive, RunId, Saliency
from covidseg.schema.references import MODEL, Refers
from covidseg.schema.training import Training
from covidseg.train.job import Job, Progress

LABELLING = ("fusion", "foreground", "background", "saliency", "start")  # may differ from the run that it starts from


def _same_maps(own: Any, other: Any) -> str:
    """Return why the maps of another run are not those that a run would make, or an empty string."""
    if other.train.method != "cam":
        return "is no run of method cam; name one"
    a, b = (s.model_dump(exclude={"train": set(LABELLING)}) for s in (own, other))
    differ = [key for key in a if a[key] != b[key]]
    return f"differs in {', '.join(differ)}; make it equal or leave it out" if differ else ""


class Cam(Training):
    """A classifier whose attention maps, accumulated over its epochs, become labels of the training slices."""

    EPOCHS: ClassVar[tuple[str, ...]] = ("epochs", "from_epoch")
    WRITES: ClassVar[tuple[str, ...]] = (MODEL, "maps.h5", "labels.h5")
    ONE_CLASS: ClassVar[bool] = True
    LABELS_ONLY: ClassVar[bool] = True

    method: Literal["cam"]
    fusion: Literal["average", "max", "last"] = Field("average", description="How the maps of all epochs become one.")
    from_epoch: Positive = Field(1, description="The first epoch whose maps count; 1 is the first of all.")
    found: Finite = Field(0.5, gt=0, lt=1, description="Least probability at which a slice's map counts.")
    foreground: Finite = Field(0.3, gt=0, lt=1, description="Least attention of a pixel that is lesion.")
    background: Finite = Field(32 / 255, ge=0, lt=1, description="Most saliency of a pixel that is background.")
    saliency: Saliency = Field("lungs", description="Where saliency comes from.")
    start: Annotated[RunId | None, Refers("start", "maps.h5", _same_maps)] = Field(
        None, description="A run whose maps are taken over: only how they become labels differs."
    )
    snapshots: Positive = Field(3, description="Epochs whose own maps are kept, for figures.")

    @field_validator("from_epoch")
    @classmethod
    def _within(cls, value: int, given: ValidationInfo) -> int:
        if value > given.data.get("epochs", value):
            raise ValueError(f"must not be above train.epochs, {given.data['epochs']}, or no map counts")
        return value


def train(job: Job, progress: Progress) -> dict[str, Any]:
    """Train the classifier, or take over the maps of another run's, and write what all methods do, ``maps.h5`` and
    ``labels.h5``. ``predictions.h5`` holds the fused maps of the test slices, as probabilities. See
    ``covidseg.train.run``.

    The facts say how well test slices were classified, and how well the labels, and the maps in each way of fusing,
    meet the truth where it is known: it is only compared.
    """
    from covidseg.train import weak

    start = time.perf_counter()
    assert isinstance(job.spec.train, Cam)
    data = weak.load(job)
    facts = weak.take_over(job, "maps.h5") if "start" in job.references else weak.classify(job, data, progress)
    made = weak.write_labels(job, data, job.spec.train.fusion)
    (job.out / "resume.pt").unlink(missing_ok=True)
    facts["notes"] = [*facts["notes"], *made.pop("notes")]
    return facts | made | {"seconds": round(time.perf_counter() - start, 2)}
