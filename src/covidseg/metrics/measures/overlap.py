"""Overlap of the masks, from the pixels that both, one or none of them mark."""

from __future__ import annotations

from covidseg.metrics.pair import Pair


def dice(pair: Pair) -> float:
    """Return 2 TP / (2 TP + FP + FN); 1 when both masks are empty."""
    return pair.counts.dice


def sen(pair: Pair) -> float:
    """Return TP / (TP + FN); 1 without lesion, as nothing was missed."""
    return pair.counts.sensitivity


def spe(pair: Pair) -> float:
    """Return TN / (TN + FP); 1 without background."""
    return pair.counts.specificity


def ppv(pair: Pair) -> float:
    """Return TP / (TP + FP); where nothing is predicted 1 if there is no lesion either, else 0."""
    return pair.counts.precision


def volume_accuracy(pair: Pair) -> float:
    """Return 1 - 2 |a - b| / (a + b) of the predicted and true volumes a and b; 1 when both are 0, -1 when one is."""
    return pair.counts.volume_accuracy


def mae(pair: Pair) -> float:
    """Return the mean of |probability - truth|, on the map before the threshold."""
    return pair.mae


def mae_mask(pair: Pair) -> float:
    """Return the share of pixels on which the masks differ."""
    return pair.counts.error
