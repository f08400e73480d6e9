"""What is asked of the mask of a whole scan: distances where there is something to measure, misses, volumes."""

from __future__ import annotations

import math

import numpy as np

from covidseg.metrics import surface
from covidseg.metrics.pair import Pair, by_image


def hd95_found(pair: Pair) -> float:
    """Return the 95th percentile Hausdorff distance between the contours; NaN where one of the masks is empty."""
    if not pair.truth.any() or not pair.mask.any():
        return math.nan
    return surface.robust_hausdorff(pair.contour, pair.worst)


@by_image
def missed(pair: Pair) -> float:
    """Return 1 where something is there and nothing was found, else 0."""
    return float(pair.counts.tp + pair.counts.fn > 0 and pair.counts.tp + pair.counts.fp == 0)


@by_image
def invented(pair: Pair) -> float:
    """Return 1 where nothing is there and something was found, else 0."""
    return float(pair.counts.tp + pair.counts.fn == 0 and pair.counts.fp > 0)


@by_image
def agrees(pair: Pair) -> float:
    """Return 1 where something is there and was found, or neither, else 0."""
    return float((pair.counts.tp + pair.counts.fn > 0) == (pair.counts.tp + pair.counts.fp > 0))


def volume_error(pair: Pair) -> float:
    """Return the absolute difference of the volumes in ml; NaN where the spacing of the three axes is not known."""
    if not pair.in_mm or len(pair.spacing) != 3:
        return math.nan
    return abs(pair.counts.fp - pair.counts.fn) * float(np.prod(pair.spacing)) / 1000
