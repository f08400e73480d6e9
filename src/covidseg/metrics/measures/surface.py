"""Distances between the boundaries of the masks."""

from __future__ import annotations

from covidseg.metrics import surface as distances
from covidseg.metrics.pair import Pair
from covidseg.metrics.rowset import rowset_hausdorff


def hd95(pair: Pair) -> float:
    """Return the 95th percentile Hausdorff distance between contours, weighted by their length."""
    return distances.robust_hausdorff(pair.contour, pair.worst)


def nsd(pair: Pair) -> float:
    """Return the share of both contours within the protocol's tolerance of the other."""
    return distances.surface_dice(pair.contour, pair.tolerance)


def hd95_border(pair: Pair) -> float:
    """Return the 95th percentile of the distances between border pixels, both directions together (MedPy)."""
    return distances.pooled_hausdorff(pair.border, pair.worst)


def nsd_border(pair: Pair) -> float:
    """Return the mean of both shares of border pixels within the protocol's tolerance of the other border (nnU-Net)."""
    return distances.mean_surface_overlap(pair.border, pair.tolerance)


def hd95_rowset(pair: Pair) -> float:
    """Return 0.95 times the Hausdorff distance between the masks' rows, as SSA-Net's released evaluator does."""
    return 0.95 * rowset_hausdorff(pair.truth, pair.mask)
