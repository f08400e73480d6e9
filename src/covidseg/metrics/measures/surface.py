"""Distances between the boundaries of the masks."""

from __future__ import annotations

from covidseg.base.errors import UserError
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
    """Return 0.95 times the Hausdorff distance between the masks' rows, as SSA-Net's released evaluator does.

    Raises UserError for a volume: it is defined for slices.
    """
    if pair.truth.ndim != 2:
        raise UserError("hd95_rowset compares the rows of a slice and has no value for a volume; set cases: mean")
    return 0.95 * rowset_hausdorff(pair.truth, pair.mask)
