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
        [], description="Runs to make (paper/run); empty: all. Rows left out say so."
    )
    seeds: Annotated[list[Count], Unique] = Field([0], min_length=1, description="One training per seed, run and fold.")
    folds: Annotated[list[Count], Field(min_length=1), Unique] | Literal["all"] = Field(
        "all", description="Folds to make, or all."
    )
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="auto: a GPU where there is one.")
    data: Folder = Field(Path("data"), description="Where raw, canonical and tensor data go.")
    results: Folder = Field(Path("results"), description="Where results go, by mode.")
    mirror: Folder | None = Field(None, description="A local folder asked before any download.")
    stand_ins: dict[Name, Name] = Field({}, description="Data set -> data set used in its place; said in captions.")
    lungs: dict[Name, LungSource] = Field({}, description="Data set -> where its lung masks come from.")
    init: Init = Field("imagenet", description="random: no encoder starts from ImageNet's weights; said in captions.")
    saliency: Saliency | None = Field(
        None, description="Where saliency comes from, in place of what each run says; said in captions."
    )
    weights: dict[Name, Sha256] = Field(
        {}, description="Weights without a public hash: name -> sha256 of MIRROR/weights/NAME.pth."
    )
