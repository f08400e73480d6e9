"""What every training has: optimizer, epochs, batches. The settings of a training method stand in its own file, in
``train/methods``, as a class of the file's name that derives from ``Training``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field

from covidseg.schema.base import Count, Finite, Name, Positive, RunId, Strict, Unique
from covidseg.schema.references import MODEL, Refers


class Restart(Strict):
    """A restart of the optimizer during training, with zero moments and another learning rate."""

    epoch: Positive = Field(
        description="First epoch of the new optimizer (0 is the first); its schedule counts from there."
    )
    lr: Finite = Field(gt=0)


class Optimizer(Strict):
    """Optimizer and step schedule: lr * factor ** (epoch // step); step 0: lr throughout."""

    name: Literal["adam", "sgd"] = "adam"
    lr: Finite = Field(1e-3, gt=0)
    weight_decay: Finite = Field(0.0, ge=0)
    momentum: Finite = Field(0.0, ge=0, lt=1)
    step: Count = 0
    factor: Finite = Field(0.1, ge=0)
    collapse: bool = Field(False, description="The factor of each epoch multiplies the rate of the epoch before.")
    clamp: Finite = Field(0.0, ge=0, description="Gradient components are clamped to +-clamp; 0: they are not.")
    recreate: bool = Field(False, description="Create the optimizer anew in each epoch, which resets its moments.")
    restart: Restart | None = Field(
        None, exclude_if=lambda restart: restart is None, description="Absent: the optimizer is not restarted."
    )


class Augment(Strict):
    """Random changes of each training slice, drawn anew each time that it is learned."""

    rotate: Finite = Field(0.0, ge=0, le=180, description="Turned by at most so many degrees.")
    scale: Finite = Field(0.0, ge=0, lt=1, description="Larger or smaller by at most this share.")
    shift: Finite = Field(0.0, ge=0, lt=1, description="Moved by at most this share of the side.")
    mirror: bool = Field(False, description="Left and right exchanged in half of the slices.")
    intensity: Finite = Field(0.0, ge=0, lt=1, description="Contrast and gamma of the CT, by at most this share.")


class Pool(Strict):
    """The slices without labels that a semi-supervised method draws from.

    Of another data set all slices, labelled or not; of the run's own data set those without labels.
    """

    dataset: Name
    without: list[str] = Field([], description="Cases to leave out, for instance those of test patients.")


class Training(Strict):
    """What every method has: epochs, batches and the optimizer of one training.

    EPOCHS, BATCHES and RATES name the settings that a preset's epochs, batch and lr change. WRITES names the files of a
    finished training that other runs may refer to, see ``schema.references``.
    """

    EPOCHS: ClassVar[tuple[str, ...]] = ("epochs",)
    BATCHES: ClassVar[tuple[str, ...]] = ("batch",)
    RATES: ClassVar[tuple[str, ...]] = ()
    WRITES: ClassVar[tuple[str, ...]] = (MODEL,)
    ONE_CLASS: ClassVar[bool] = False  # whether the method knows one class and background only
    LABELS_ONLY: ClassVar[bool] = False  # whether it makes labels for others, with a model that segments nothing

    if TYPE_CHECKING:  # each method says which it is
        method: str = ""

    epochs: Positive = 150
    batch: Positive = 2
    accumulate: Positive = 1
    scales: Annotated[tuple[Annotated[float, Field(gt=0, le=4)], ...], Unique] = Field(
        (1.0,),
        min_length=1,
        description="Each batch is trained on at each of these scales in turn, rounded to 32 pixels.",
    )
    optimizer: Optimizer = Optimizer()
    validate_every: Positive = 1
    slices_per_epoch: Count = Field(0, description="Number of slices drawn anew for each epoch; 0: all.")
    augment: Augment | None = Field(
        None, exclude_if=lambda augment: augment is None, description="Absent: slices are not augmented."
    )

    @property
    def stages(self) -> list[str]:
        """Return the jobs that come before the last one, in order; each needs the one before it."""
        return []

    @property
    def leaves_unlabelled(self) -> bool:
        """Return whether the method learns from targets with pixels that have no label (255)."""
        return False

    @property
    def on_labelled(self) -> Training:
        """Return the settings of a training on the labelled slices alone."""
        return self

    @property
    def most_epochs(self) -> int:
        """Return the epochs of the longest job."""
        return self.epochs


def _trains_alike(own: Any, other: Any) -> str:
    """Return why a supervised run would not train the model that a method begins with, or an empty string."""
    if other.train.method != "supervised":
        return "differs in train.method; make it equal or leave it out"
    common = {*Training.model_fields}
    a, b = (s.model_dump(exclude={"train"}) | s.train.on_labelled.model_dump(include=common) for s in (other, own))
    differ = [key for key in b if a[key] != b[key]]
    if getattr(other.train, "labels", None):
        differ.append("train.labels")
    return f"differs in {', '.join(differ)}; make it equal or leave it out" if differ else ""


Start = Annotated[RunId | None, Refers("start", MODEL, _trains_alike)]
