"""``config.yaml``: what a user edits."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from covidseg.schema.base import Count, Folder, Init, LungSource, Mode, Name, RunId, Saliency, Sha256, Strict, Unique


class Config(Strict):
    """``config.yaml``: what a user edits."""

    mode: Mode = Field("demo", description="demo: phantom CT, made here. paper: the real data.")
    preset: Name = Field("auto", description="A name in workflow/presets, or auto: tiny for demo, full for paper.")
    papers: Annotated[list[Name], Unique] = Field(
        ["ssanet"], min_length=1, description="Names of the files in workflow/papers."
    )
    only: Annotated[list[RunId], Unique] = Field(
        [], description="Runs to make (paper/run); empty: all. Other rows are marked as not run."
    )
    seeds: Annotated[list[Count], Unique] = Field([0], min_length=1, description="One training per seed, run and fold.")
    folds: Annotated[list[Count], Field(min_length=1), Unique] | Literal["all"] = Field(
        "all", description="Folds to make, or all."
    )
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="auto: a GPU where there is one.")
    data: Folder = Field(Path("data"), description="Folder for raw, canonical and tensor data.")
    results: Folder = Field(Path("results"), description="Folder for results, with a subfolder per mode.")
    mirror: Folder | None = Field(None, description="A local folder that is searched before a download.")
    stand_ins: dict[Name, Name] = Field({}, description="Data set -> data set used in its place; captions say so.")
    lungs: dict[Name, LungSource] = Field({}, description="Data set -> source of its lung masks.")
    init: Init = Field(
        "imagenet", description="random: encoders start from random instead of ImageNet weights; captions say so."
    )
    saliency: Saliency | None = Field(
        None,
        description="Source of saliency maps for all runs, instead of the one that each run names; captions say so.",
    )
    weights: dict[Name, Sha256] = Field(
        {}, description="Weights without a public hash: name -> sha256 of MIRROR/weights/NAME.pth."
    )
