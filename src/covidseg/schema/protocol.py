"""``workflow/protocols`` and ``workflow/presets``: how runs are scored and how they are scaled down."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from covidseg.schema.base import Count, Finite, Name, Pixels, Positive, Precision, Strict


class Metric(Strict):
    """One metric of a protocol."""

    title: str
    better: Literal["higher", "lower"]
    digits: int = Field(4, ge=0, le=12)
    unit: str = ""
    about: str
    summary: Literal["mean", "median", "sum"] = Field(
        "mean", description="Statistic that a table prints; median: with the quartiles."
    )
    measure: str | None = Field(
        None, description="Function in metrics/measures that computes it; absent: that of the metric's name."
    )
    not_comparable: str | None = Field(None, description="Why the printed column cannot be compared with ours.")


class Protocol(Strict):
    """``workflow/protocols/NAME.yaml``: a metric convention."""

    title: str
    about: str
    engine: Literal["masks", "toolbox"]
    threshold: Finite = Field(0.5, gt=0, le=1)
    unit: Literal["slice", "case", "pooled"] = Field(
        "slice", description="What a table averages over; pooled: pixels of all slices of a fold are counted together."
    )
    over: Literal["all", "lesion"] = Field(
        "all",
        description="lesion: slices whose truth has no lesion have no value and enter no mean.",
        exclude_if=lambda value: value == "all",
    )
    metrics: dict[Name, Metric]
    tolerance: Finite = Field(3.0, ge=0, description="Of the surface Dice, in px or mm.")
    spacing: Literal["px", "mm"] = Field("px", description="mm: lengths in mm where the spacing is known, else in px.")
    cases: Literal["mean", "volume"] = Field("mean", description="A case's score: its slices' mean, or 3-D.")


Width = Annotated[Finite, Field(gt=0, le=4)]


class Preset(Strict):
    """``workflow/presets/NAME.yaml``: scales runs down. A key that is absent leaves the paper's value."""

    about: str
    size: Pixels | None = None
    width: Width | None = None
    widths: dict[Name, Width] = Field({}, description="Width by network, for those that differ from width.")
    epochs: Finite = Field(1.0, gt=0, le=100, description="Factor on every setting counted in epochs.")
    most_epochs: Positive | None = Field(
        None, description="Longest training in epochs; longer ones are scaled down with all settings counted in epochs."
    )
    batch: Positive | None = None
    accumulate: Positive | None = None
    validate_every: Positive | None = None
    slices_per_epoch: Count | None = None
    rounds: Positive | None = Field(None, description="Most rounds of pseudo labels.")
    steps: Positive | None = Field(None, description="Most steps of label propagation.")
    scales: tuple[Annotated[float, Field(gt=0, le=4)], ...] | None = Field(
        None, min_length=1, description="Replaces the scales of a training that has several."
    )
    folds: Positive | None = Field(None, description="Number of folds; the first ones are taken.")
    lr: Finite = Field(1.0, gt=0, le=100, description="Factor on the learning rate.")
    lr_most: Finite | None = Field(None, gt=0, description="Highest learning rate, applied after the factor.")
    step: Count | None = Field(None, description="Epochs until the rate decays; 0: never.")
    threads: Positive = 4
    precision: Precision = Field(
        "auto",
        description="Of convolutions and matrix products, in training and prediction. auto: bfloat16 on a GPU, "
        "float32 on a CPU. bfloat16 is 2 to 4 times as fast on CPUs with AMX, and slow on CPUs without.",
    )
    stage_jobs: bool = Field(
        True, description="Each round of a training in rounds is a job of its own; false: one job does all of them."
    )

    def width_of(self, net: str) -> float | None:
        """Return the factor on the channels of a network; None leaves them as they are."""
        return self.widths.get(net, self.width)
