"""Lung masks by a network that was trained here, as the phantoms' small U-Net is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from covidseg.data.canonical import U8
from covidseg.data.tensors import resize
from covidseg.schema import RunSpec

if TYPE_CHECKING:
    from torch import nn


def predictor(folder: Path, spec: RunSpec, device: str) -> Callable[[U8, tuple[float, float, float]], U8]:
    """Return a function from an 8-bit image (S, H, W) and its spacing to a lung mask of 0/1.

    ``folder`` holds the model of the run ``spec``, whose only class is lung. Raises UserError when it is missing.
    """
    from covidseg.train.predict import load_model

    return predictor_of(load_model(folder, spec), spec, device)


def predictor_of(model: nn.Module, spec: RunSpec, device: str) -> Callable[[U8, tuple[float, float, float]], U8]:
    """Return the same function of a model that was read already."""
    from covidseg.train.predict import predict

    size = (spec.input.size, spec.input.size)

    def lungs(image: U8, spacing: tuple[float, float, float]) -> U8:
        height, width = image.shape[1:]
        prob = predict(model, np.stack([resize(slice_, size) for slice_ in image]), None, spec, device)[:, 0]
        return np.stack([resize(p, (height, width)) >= 128 for p in prob]).astype(np.uint8)

    return lungs
