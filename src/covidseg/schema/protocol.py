"""``workflow/protocols`` and ``workflow/presets``: how runs are scored, and how they are scaled."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from covidseg.schema.base import Count, Finite, Name, Pixels, Positive, Strict


class Metric(Strict):
    """One metric of a protocol."""

    title: str
    better: Literal["higher", "lower"]
    digits: int = Field(4, ge=0, le=12)
    unit: str = ""
    about: str
    summary: Literal["mean", "median", "sum"] = Field(
        "mean", description="What a table prints of all values; median: with the quartiles."
    )
    measure: str | None = Field(
        None, description="What computes it (a function in metrics/measures); absent: the metric's own name."
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


class Preset(Strict):
    """``workflow/presets/NAME.yaml``: scales a run, never a method. Absent: as the paper prints it."""

    about: str
    size: Pixels | None = None
    width: Finite | None = Field(None, gt=0, le=4)
    epochs: Finite = Field(1.0, gt=0, le=100, description="Factor on every setting counted in epochs.")
    most_epochs: Positive | None = Field(
        None, description="At most so many epochs of a training; the factor on all its settings is then smaller."
    )
    batch: Positive | None = None
    accumulate: Positive | None = None
    validate_every: Positive | None = None
    slices_per_epoch: Count | None = None
    rounds: Positive | None = Field(None, description="At most so many rounds of pseudo labels.")
    steps: Positive | None = Field(None, description="At most so many steps of label propagation.")
    scales: tuple[Annotated[float, Field(gt=0, le=4)], ...] | None = Field(
        None, min_length=1, description="In place of the scales of a training that has several."
    )
    folds: Positive | None = Field(None, description="At most so many folds, the first ones.")
    lr: Finite = Field(1.0, gt=0, le=100, description="Factor on the learning rate.")
    lr_most: Finite | None = Field(None, gt=0, description="At most this learning rate, after the factor.")
    step: Count | None = Field(None, description="Epochs until the rate decays; 0: never.")
    threads: Positive = 4
