"""Runs: everything that decides a result. Input, optimizer, training methods."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, Tag, model_serializer

from covidseg.schema.base import (
    Count,
    Finite,
    InputMode,
    LungSource,
    Name,
    Pixels,
    Positive,
    RunId,
    Strict,
    Unique,
    discriminated_by,
)


class Prior(Strict):
    """A map of each slice by another run's model of the same fold and seed (Inf-Net, section III-D).

    That model learned from the same training slices, so that its maps of them are better than those of test slices.
    """

    run: RunId = Field(description="A run of one class, with the same data set and split.")
    train: Literal["predicted", "truth"] = Field(
        "predicted", description="What stands in for the map of a training slice: nothing, or that class's truth."
    )


class Input(Strict):
    """What a network sees."""

    size: Pixels = 512
    mode: InputMode = "slice+lung"
    prior: Prior | None = Field(
        None, exclude_if=lambda prior: prior is None, description="Absent: none. Else a last channel with this map."
    )

    @property
    def channels(self) -> int:
        """Return the number of input channels."""
        return (2 if self.mode == "slice+lung" else 1) + (self.prior is not None)

    @property
    def in_words(self) -> str:
        """Return what the channels show, as ``slice+prior``."""
        return f"{self.mode}+prior" if self.prior else self.mode


class Optimizer(Strict):
    """Optimizer and step schedule: lr * factor ** (epoch // step); step 0: lr throughout."""

    name: Literal["adam", "sgd"] = "adam"
    lr: Finite = Field(1e-3, gt=0)
    weight_decay: Finite = Field(0.0, ge=0)
    momentum: Finite = Field(0.0, ge=0, lt=1)
    step: Count = 0
    factor: Finite = Field(0.1, ge=0)
    collapse: bool = Field(False, description="The factor of each epoch multiplies what the last one left.")
    clamp: Finite = Field(0.0, ge=0, description="Each component of a gradient is cut to +-clamp; 0: none is.")
    recreate: bool = Field(False, description="A new optimizer each epoch: moments are lost.")


class Pool(Strict):
    """The slices without labels that a semi-supervised method draws from.

    Of another data set all slices, labelled or not; of the run's own data set those without labels.
    """

    dataset: Name
    without: list[str] = Field([], description="Cases to leave out, as those of patients who are tested.")


class Training(Strict):
    """What every method has: epochs, batches and the optimizer of one training.

    EPOCHS, BATCHES and RATES name the settings that a preset's epochs, batch and lr change.
    """

    EPOCHS: ClassVar[tuple[str, ...]] = ("epochs",)
    BATCHES: ClassVar[tuple[str, ...]] = ("batch",)
    RATES: ClassVar[tuple[str, ...]] = ()
    ONE_CLASS: ClassVar[bool] = False  # whether the method knows one class and background only

    epochs: Positive = 150
    batch: Positive = 2
    accumulate: Positive = 1
    scales: Annotated[tuple[Annotated[float, Field(gt=0, le=4)], ...], Unique] = Field(
        (1.0,), min_length=1, description="Each batch is learned at each of these sizes, rounded to 32 pixels, in turn."
    )
    optimizer: Optimizer = Optimizer()
    validate_every: Positive = 1
    slices_per_epoch: Count = Field(0, description="At most so many, drawn anew each epoch; 0: all.")

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


class Supervised(Training):
    """Plain training on labelled slices; the best epoch by validation DSC is kept."""

    method: Literal["supervised"] = "supervised"


class SelfTraining(Training):
    """Rounds of pseudo-labelling: each labels more of the pool and trains a new model (SSA-Net, section 3.3).

    ``trust`` is eq. 9's threshold: a pixel that no class reaches is background; null takes the likeliest class.
    """

    method: Literal["self_training"]
    pool: Pool
    rounds: int = Field(5, ge=1, le=99, description="At most so many after the first training.")
    take: Finite = Field(0.2, gt=0, le=1, description="Share of the pool that joins in each round.")
    trust: Annotated[float, Field(gt=0, lt=1)] | None = 0.95
    warm_start: bool = Field(False, description="Each round goes on from the last model, not from new weights.")
    start: RunId | None = Field(None, description="Supervised run with equal settings, whose model is the first.")

    @property
    def stages(self) -> list[str]:
        """Return round0, labels1, round1, labels2, ...: a training and a labelling by turns."""
        later = [f"{kind}{k}" for k in range(1, self.rounds + 1) for kind in ("labels", "round")]
        return ["round0", *later]


class Propagation(Training):
    """Label propagation in small steps, then training on what was labelled (Inf-Net, algorithm 1: Semi-Inf-Net).

    A model of the labelled slices labels the next ``k`` slices of the shuffled pool, softly and for good, and learns
    from all that have labels by then; and so on. A new model learns the pseudo-labelled slices with the settings of
    any training, ``epochs``, ``batch``, ``optimizer``; at last the labelled ones refine it, ``finetune_``. The first
    model learned with the settings of the last: section III-E trains Inf-Net as it refines Semi-Inf-Net.
    """

    EPOCHS: ClassVar[tuple[str, ...]] = ("epochs", "step_epochs", "finetune_epochs")
    BATCHES: ClassVar[tuple[str, ...]] = ("batch", "step_batch", "finetune_batch")
    RATES: ClassVar[tuple[str, ...]] = ("step_lr", "finetune_lr")
    ONE_CLASS: ClassVar[bool] = True

    method: Literal["propagation"]
    pool: Pool
    k: Positive = Field(5, description="Slices that a step labels.")
    steps: Positive | None = Field(None, description="At most so many; null: until the pool is used up.")
    step_epochs: Positive = 10
    step_batch: Positive = 16
    step_lr: Finite = Field(3e-4, gt=0, description="Of all steps, without decay.")
    blocks: int = Field(8, ge=1, le=99, description="Jobs that the steps are cut into, of ten steps or more.")
    with_labelled: bool = Field(False, description="The labelled slices are learned with the pseudo-labelled ones.")
    finetune_epochs: Positive = 100
    finetune_batch: Positive = 16
    finetune_lr: Finite = Field(1e-4, gt=0)
    start: RunId | None = Field(None, description="Supervised run with equal settings, whose model is the first.")

    @property
    def stages(self) -> list[str]:
        """Return first, block1, block2, ..., pretrain; the last job refines."""
        blocks = min(self.blocks, -(-self.steps // 10)) if self.steps else self.blocks
        return ["first", *(f"block{b}" for b in range(1, blocks + 1)), "pretrain"]

    @property
    def on_labelled(self) -> Propagation:
        """Return the settings of the first training and of the last."""
        optimizer = self.optimizer.model_copy(update={"lr": self.finetune_lr})
        changes = {"epochs": self.finetune_epochs, "batch": self.finetune_batch, "optimizer": optimizer}
        return self.model_copy(update=changes)

    @property
    def most_epochs(self) -> int:
        """Return the epochs of the longest job; without a number of steps it has the 320 of the paper."""
        steps = -(-(self.steps or 320) // (len(self.stages) - 2))
        return max(self.epochs, self.finetune_epochs, steps * self.step_epochs)


class Released(Training):
    """Nothing is trained: others released their maps of the test slices, and these are the predictions.

    A run of this method has no network and no losses. Phantoms have no such maps, so in demo mode it is not made.
    """

    method: Literal["released"]
    maps: Name = Field(description="The data set that holds the maps.")
    folders: dict[Name, str] = Field(description="Class -> folder of its maps.")
    epochs: int = Field(0, ge=0, le=0)

    @model_serializer
    def _decisive(self) -> dict[str, Any]:
        """Return what decides the result: nothing of a training does."""
        return {"method": self.method, "maps": self.maps, "folders": self.folders}


Method = Annotated[
    Annotated[Supervised, Tag("supervised")]
    | Annotated[SelfTraining, Tag("self_training")]
    | Annotated[Propagation, Tag("propagation")]
    | Annotated[Released, Tag("released")],
    discriminated_by("method", "supervised"),
]


class RunSpec(Strict):
    """A resolved run: everything that decides its result, and nothing else."""

    dataset: Name
    split: Name
    lungs: LungSource = "none"
    classes: list[Name] = Field(min_length=1, description="Foreground classes. One: sigmoid; more: softmax.")
    input: Input = Input()
    net: dict[str, Any] = Field(description="name, and the arguments of that network's class; none for others' maps.")
    losses: dict[str, dict[str, Any]] = Field(description="Loss -> weight, from_epoch, and its function's arguments.")
    train: Method = Supervised()
    threads: Positive = 1
    values: dict[str, tuple[int, ...]] = Field({}, description="Filled in: the label values that each class joins.")

    @property
    def pool(self) -> Pool | None:
        """Return the unlabelled slices that the method uses."""
        return getattr(self.train, "pool", None)

    @property
    def stages(self) -> list[str]:
        """Return the jobs that come before the last one, in order: that of the prior, then the method's own."""
        return [*(["prior"] if self.input.prior else []), *self.train.stages]

    @property
    def maps(self) -> str | None:
        """Return the data set of others' maps that are the predictions; None where a network of ours predicts."""
        return getattr(self.train, "maps", None)
