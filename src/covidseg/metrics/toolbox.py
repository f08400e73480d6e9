"""The Inf-Net evaluation toolbox: mean Dice, Sen, Spe and E over 256 thresholds, S and MAE on the soft map.

Source: Fan et al. 2020 (Inf-Net), section IV-B, as their MATLAB toolbox computes it; E-measure after Fan et al. 2018
(IJCAI), S-measure after Fan et al. 2017 (ICCV). Every number follows from one histogram of the grey levels, split by
truth and by the four blocks of the S-measure, so an image is read once instead of 256 times.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

EPS = float(np.finfo(np.float64).eps)
CURVES = ("dice", "sen", "spe", "e_phi")
MEASURES = (*CURVES, "s_alpha", "mae")


def thresholds() -> Floats:
    """Return the 256 thresholds from 1 to 0 as MATLAB's colon operator builds them: from both ends to the middle.

    A plain linspace differs in the last bit, which moves pixels that lie exactly on a threshold.
    """
    k = np.arange(256)
    step = -1 / 255
    return np.where(k < 128, 1 + k * step, 0 - (255 - k) * step)


THRESHOLDS = thresholds()


@dataclass(frozen=True)
class Toolbox:
    """One image: ``curves`` (4, 256) in the order of CURVES and THRESHOLDS, S-measure and MAE."""

    curves: Floats
    s_alpha: float
    mae: float

    def row(self) -> dict[str, float]:
        """Return the means over the thresholds, S and MAE."""
        means = dict(zip(CURVES, self.curves.mean(axis=1).tolist(), strict=True))
        return {**means, "s_alpha": self.s_alpha, "mae": self.mae}


def toolbox(prob: NDArray[np.generic], truth: NDArray[np.bool_]) -> Toolbox:
    """Score one map (H, W), 8-bit or float on any scale, against its truth (H, W), bool."""
    y, x = centroid(truth)
    values, index = grey_levels(prob)
    counts = np.empty((4, 2, len(values)))
    for k, block in enumerate(itertools.product((slice(0, y), slice(y, None)), (slice(0, x), slice(x, None)))):
        key = index[block] + truth[block] * index.dtype.type(len(values))
        counts[k] = np.bincount(key.ravel(), minlength=2 * len(values)).reshape(2, -1)
    both = counts.sum(axis=0)
    return Toolbox(sweep(values, both), s_measure(values, counts), mae(values, both))


def grey_levels(prob: NDArray[np.generic]) -> tuple[Floats, NDArray[np.intp]]:
    """Return the distinct levels of a map, ascending and min-max normalised to 0..1, and each pixel's index in them.

    A constant map keeps its value, as MATLAB's mapminmax does. 8-bit maps are divided by 255 first.
    """
    if prob.dtype == np.uint8:
        lo, hi = int(prob.min()), int(prob.max())
        levels, index = np.arange(lo, hi + 1) / 255, prob.astype(np.int16) - np.int16(lo)
    else:
        levels, flat = np.unique(prob.astype(np.float64), return_inverse=True)
        index = flat.reshape(prob.shape)
    if levels[-1] > levels[0]:
        levels = (levels - levels[0]) / (levels[-1] - levels[0])
    return levels, index


def sweep(values: Floats, counts: Floats) -> Floats:
    """Return Dice, Sen, Spe and E (4, 256) from ``counts`` (truth no/yes, level) of the levels ``values``.

    Dice, Sen and Spe count a pixel where value >= threshold and are all 0 without a true positive, Spe too;
    E counts value > threshold.
    """
    fp, tp = _above(values, counts, "left")
    negatives, positives = counts.sum(axis=1)
    tn = negatives - fp
    hit = tp > 0
    with np.errstate(invalid="ignore", divide="ignore"):
        dice = np.where(hit, 2 * tp / (positives + tp + fp), 0.0)
        sen = np.where(hit, tp / positives, 0.0)
        # A truth without background has no specificity (0/0 there); nothing can be marked wrongly, hence 1.
        spe = np.where(hit, tn / negatives if negatives else 1.0, 0.0)
    fp, tp = _above(values, counts, "right")
    return np.stack([dice, sen, spe, e_measure(tp, fp, positives - tp, negatives - fp)])


def _above(values: Floats, counts: Floats, side: str) -> Floats:
    """Return (2, 256): pixels at or above (side left) or above (side right) each threshold, by truth."""
    first = np.searchsorted(values, THRESHOLDS, side=side)  # type: ignore[call-overload]
    tail = np.zeros((2, len(values) + 1))
    tail[:, :-1] = np.cumsum(counts[:, ::-1], axis=1)[:, ::-1]
    return tail[:, first]


def e_measure(tp: Floats, fp: Floats, fn: Floats, tn: Floats) -> Floats:
    """Return the enhanced-alignment measure of binary maps from their four counts.

    With a = map - its mean and b = truth - its mean, a pixel scores (2ab / (a^2 + b^2) + 1)^2 / 4; a and b take only
    two values each. The sum is divided by N - 1, so that a perfect map scores slightly above 1.
    """
    n = tp + fp + fn + tn
    mean_map, mean_truth = (tp + fp) / n, (tp + fn) / n

    def enhanced(marked: int, lesion: int) -> Floats:
        a, b = marked - mean_map, lesion - mean_truth
        return (2 * a * b / (a * a + b * b + EPS) + 1) ** 2 / 4

    total = tp * enhanced(1, 1) + fp * enhanced(1, 0) + fn * enhanced(0, 1) + tn * enhanced(0, 0)
    total = np.where(mean_truth == 0, tn, np.where(mean_truth == 1, tp, total))
    return np.asarray(total / (n - 1 + EPS))


def s_measure(values: Floats, counts: Floats) -> float:
    """Return the structure measure: the mean of object and region similarity, at least 0.

    ``counts`` (4, 2, L): pixels by block (top left, top right, bottom left, bottom right of the truth's centroid), by
    truth and by level. Without lesion it is 1 - mean(map), without background mean(map).
    """
    background, lesion = counts.sum(axis=0)
    share = lesion.sum() / counts.sum()
    if share in (0, 1):
        mean = float((background + lesion) @ values / counts.sum())
        return 1 - mean if share == 0 else mean
    objects = share * _object(values, lesion) + (1 - share) * _object(1 - values, background)
    areas = counts.sum(axis=(1, 2))
    regions = sum(area / areas.sum() * _ssim(values, c) for area, c in zip(areas, counts, strict=True) if area)
    return max(0.0, float(0.5 * objects + 0.5 * regions))


def _object(values: Floats, counts: Floats) -> float:
    """Return 2m / (m^2 + 1 + sd) of the map inside one part of the truth, sd with n - 1."""
    n = counts.sum()
    mean = counts @ values / n
    sd = np.sqrt(counts @ (values - mean) ** 2 / (n - 1)) if n > 1 else 0.0
    return float(2 * mean / (mean * mean + 1 + sd + EPS))


def _ssim(values: Floats, counts: Floats) -> float:
    """Return the structural similarity of map and truth in one block, variances with n - 1."""
    n = counts.sum()
    level = counts.sum(axis=0)
    x, y = level @ values / n, counts[1].sum() / n
    dx = values - x
    var_x = level @ dx**2 / (n - 1 + EPS)
    var_y = n * y * (1 - y) / (n - 1 + EPS)
    cov = (counts[1] @ dx * (1 - y) - counts[0] @ dx * y) / (n - 1 + EPS)
    top, bottom = 4 * x * y * cov, (x * x + y * y) * (var_x + var_y)
    if top != 0:
        return float(top / (bottom + EPS))
    return 1.0 if bottom == 0 else 0.0


def centroid(truth: NDArray[np.bool_]) -> tuple[int, int]:
    """Return (row, column) of the lesion's centroid, counted from 1, halves rounded up; the middle without lesion."""
    height, width = truth.shape
    rows, columns = np.count_nonzero(truth, axis=1), np.count_nonzero(truth, axis=0)
    total = rows.sum()
    if total == 0:
        return int(height / 2 + 0.5), int(width / 2 + 0.5)
    y = rows @ np.arange(1, height + 1) / total
    x = columns @ np.arange(1, width + 1) / total
    return int(np.floor(y + 0.5)), int(np.floor(x + 0.5))


def mae(values: Floats, counts: Floats) -> float:
    """Return mean |truth - map| from ``counts`` (truth no/yes, level)."""
    return float((counts[0] @ values + counts[1] @ (1 - values)) / counts.sum())
