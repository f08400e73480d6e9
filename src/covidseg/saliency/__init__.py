"""Saliency: how much each pixel of a slice stands out, from 0 to 255. Where it is low lies background.

A source is a file of this folder. ``poolnet`` is the attention fusion paper's: a published network that learned from
pixels of natural images; ``contrast`` is classical and needs no weights; ``lungs`` takes the lung mask for salient.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from covidseg.base.errors import UserError
from covidseg.data.canonical import U8

Predict = Callable[[U8, U8], U8]


def predictor(source: str, weights: Path | None = None, device: str = "auto") -> Predict:
    """Return a function from a slice (H, W) and its lung mask of 0/1 to its saliency, uint8 (H, W).

    ``weights``: the file of PoolNet's weights. Raises UserError when they are not the network's.
    """
    if source == "lungs":
        return lambda image, lung: (255 * (lung > 0)).astype(np.uint8)
    if source == "contrast":
        from covidseg.saliency.contrast import contrast

        return lambda image, lung: contrast(image)
    from covidseg.saliency.poolnet import network

    if weights is None:
        raise UserError("saliency: poolnet needs its weights; set saliency: lungs or contrast in config.yaml")
    return network(weights, device)
