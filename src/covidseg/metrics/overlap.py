"""Overlap of two binary masks, and the mean absolute error of a map."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Counts:
    """Pixels (or voxels) by prediction and truth."""

    tp: int
    fp: int
    fn: int
    tn: int

    def __add__(self, other: Counts) -> Counts:
        """Return the counts of both together."""
        return Counts(self.tp + other.tp, self.fp + other.fp, self.fn + other.fn, self.tn + other.tn)

    @property
    def dice(self) -> float:
        """2 TP / (2 TP + FP + FN); 1 when both masks are empty, 0 when one is."""
        total = 2 * self.tp + self.fp + self.fn
        return 2 * self.tp / total if total else 1.0

    @property
    def sensitivity(self) -> float:
        """TP / (TP + FN); 1 without lesion, as nothing was missed."""
        return self.tp / (self.tp + self.fn) if self.tp + self.fn else 1.0

    @property
    def specificity(self) -> float:
        """TN / (TN + FP); 1 without background, as nothing could be marked wrongly."""
        return self.tn / (self.tn + self.fp) if self.tn + self.fp else 1.0

    @property
    def precision(self) -> float:
        """TP / (TP + FP); where nothing is predicted 1 without lesion, else 0."""
        return self.tp / (self.tp + self.fp) if self.tp + self.fp else float(not self.fn)

    @property
    def volume_accuracy(self) -> float:
        """1 - 2 |a - b| / (a + b), a and b the predicted and true volumes; 1 when both are 0, -1 when one is."""
        total = 2 * self.tp + self.fp + self.fn
        return 1 - 2 * abs(self.fp - self.fn) / total if total else 1.0

    @property
    def error(self) -> float:
        """Share of pixels on which the masks differ: the mean absolute error of two binary masks."""
        return (self.fp + self.fn) / (self.tp + self.fp + self.fn + self.tn)


def count(truth: NDArray[np.bool_], mask: NDArray[np.bool_]) -> Counts:
    """Count the pixels of two masks of one shape."""
    tp, positives, marked = (int(np.count_nonzero(m)) for m in (truth & mask, truth, mask))
    return Counts(tp, marked - tp, positives - tp, truth.size - marked - positives + tp)


def binarise(prob: NDArray[np.generic], threshold: float) -> NDArray[np.bool_]:
    """Return probability >= threshold; 8-bit maps hold 255 times the probability."""
    if prob.dtype == np.uint8:
        return np.asarray(prob >= np.ceil(threshold * 255))
    return np.asarray(prob.astype(np.float64, copy=False) >= threshold)


def label_map(prob_KHW: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the most probable of background and K classes, uint8 (H, W): 0 background, 1..K the classes.

    The maps hold 255 times the probability; background has what they leave of 255. A class that ties with background
    wins, as a probability of 0.5 does where there is one class; of tied classes the first wins.
    """
    background = 255 - prob_KHW.sum(axis=0, dtype=np.int32)
    return np.where(prob_KHW.max(axis=0) >= background, 1 + prob_KHW.argmax(axis=0), 0).astype(np.uint8)


def mean_absolute_error(prob: NDArray[np.generic], truth: NDArray[np.bool_]) -> float:
    """Return the mean of |probability - truth|; 8-bit maps hold 255 times the probability."""
    if prob.dtype == np.uint8:
        inside = int(prob.sum(where=truth, dtype=np.int64))
        outside = int(prob.sum(dtype=np.int64)) - inside
        return (255 * int(np.count_nonzero(truth)) - inside + outside) / (255 * truth.size)
    return float(np.abs(prob.astype(np.float64) - truth).mean())
