"""Distances between the boundaries of two masks: Hausdorff distance and normalised surface Dice, in 2-D and 3-D.

Two definitions of the boundary are in use and their values differ:

- ``contour``: the line (surface) between the pixels, each piece weighted with its length (area), as in DeepMind's
  surface-distance (Nikolov et al. 2018).
- ``border``: the pixels of the mask with a neighbour across an edge (face) outside, each counting once, as in MedPy.

Only the boundary points are looked at, through a k-d tree; distance maps of the whole image are not made.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from covidseg.metrics.elements import element_sizes

Mask = NDArray[np.bool_]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Distances:
    """For each boundary point of the truth the distance to the prediction's boundary, and the other way round.

    ``*_size`` is how much boundary a point stands for (1 for border pixels). Empty where the mask is empty.
    """

    truth: Floats
    pred: Floats
    truth_size: Floats
    pred_size: Floats


def contour_distances(truth: Mask, pred: Mask, spacing: tuple[float, ...]) -> Distances:
    """Return the distances between contours (2-D) or surfaces (3-D), in the unit of ``spacing`` (one per axis)."""
    truth, pred = crop(truth, pred)
    sizes = element_sizes(spacing)
    points, weights = [], []
    for mask in (truth, pred):
        code = neighbourhoods(mask)
        where = np.flatnonzero((code != 0) & (code != len(sizes) - 1))
        points.append(np.stack(np.unravel_index(where, code.shape), axis=1))
        weights.append(sizes[code.ravel()[where]])
    return Distances(nearest(points[0], points[1], spacing), nearest(points[1], points[0], spacing), *weights)


def border_distances(truth: Mask, pred: Mask, spacing: tuple[float, ...]) -> Distances:
    """Return the distances between border pixels (voxels), in the unit of ``spacing`` (one per axis)."""
    points = [np.argwhere(border(mask)) for mask in crop(truth, pred)]
    ones = [np.ones(len(p)) for p in points]
    return Distances(nearest(points[0], points[1], spacing), nearest(points[1], points[0], spacing), *ones)


def crop(truth: Mask, pred: Mask) -> tuple[Mask, Mask]:
    """Return both masks cut to the box that holds all foreground, with one empty pixel round it."""
    box = bounding_box(truth | pred)
    return np.pad(truth[box], 1), np.pad(pred[box], 1)


def bounding_box(mask: Mask) -> tuple[slice, ...]:
    """Return the smallest box that holds the foreground; of zero size when there is none."""
    box = []
    for axis in range(mask.ndim):
        hit = np.flatnonzero(mask.any(axis=tuple(a for a in range(mask.ndim) if a != axis)))
        box.append(slice(int(hit[0]), int(hit[-1]) + 1) if len(hit) else slice(0, 0))
    return tuple(box)


def neighbourhoods(mask: Mask) -> NDArray[np.uint8]:
    """Return the code of every 2x2 (2x2x2) neighbourhood: bit k is corner k of ``itertools.product((0, 1), ...)``."""
    code: NDArray[np.uint8] = mask.view(np.uint8)
    for k, axis in enumerate(reversed(range(mask.ndim))):
        low = (slice(None),) * axis
        code = code[(*low, slice(None, -1))] | (code[(*low, slice(1, None))] << np.uint8(1 << k))
    return code


def border(mask: Mask) -> Mask:
    """Return the pixels of a mask (with an empty margin) that touch the outside across an edge (face)."""
    inner = (slice(1, -1),) * mask.ndim
    core = mask[inner].copy()
    for axis in range(mask.ndim):
        for shift in (slice(0, -2), slice(2, None)):
            core &= mask[(*inner[:axis], shift, *inner[axis + 1 :])]
    return mask[inner] & ~core


def nearest(points: NDArray[np.intp], others: NDArray[np.intp], spacing: tuple[float, ...]) -> Floats:
    """Return the distance of each point (N, dims) to the nearest of ``others``; infinite when there is none."""
    from scipy.spatial import cKDTree

    if not len(points) or not len(others):
        return np.full(len(points), np.inf)
    step = np.asarray(spacing, np.float64)
    tree = cKDTree(others * step, balanced_tree=False, compact_nodes=False)
    _, found = tree.query(points * step)
    # Again from whole steps: 3 steps of 0.1 must not come out as 0.30000000000000004 beside a tolerance of 0.3.
    return np.asarray(np.sqrt((((points - others[found]) * step) ** 2).sum(axis=1)))


def robust_hausdorff(d: Distances, worst: float, percent: float = 95) -> float:
    """Return the larger of the two directed percentiles, weighted by boundary size (surface-distance's definition).

    Both masks empty: 0. One empty: ``worst``.
    """
    if not len(d.truth) or not len(d.pred):
        return worst if len(d.truth) or len(d.pred) else 0.0
    return max(_weighted_percentile(d.truth, d.truth_size, percent), _weighted_percentile(d.pred, d.pred_size, percent))


def _weighted_percentile(values: Floats, weights: Floats, percent: float) -> float:
    order = np.lexsort((weights, values))
    share = np.cumsum(weights[order]) / weights.sum()
    at = min(int(np.searchsorted(share, percent / 100)), len(values) - 1)
    return float(values[order[at]])


def pooled_hausdorff(d: Distances, worst: float, percent: float = 95) -> float:
    """Return the percentile of both directions' distances together (MedPy's hd95).

    Both masks empty: 0. One empty: ``worst``.
    """
    if not len(d.truth) or not len(d.pred):
        return worst if len(d.truth) or len(d.pred) else 0.0
    return float(np.percentile(np.concatenate((d.truth, d.pred)), percent))


def surface_dice(d: Distances, tolerance: float) -> float:
    """Return the share of both boundaries that lies within ``tolerance`` of the other (NSD; Nikolov et al. 2018).

    Both masks empty: 1. One empty: 0.
    """
    total = d.truth_size.sum() + d.pred_size.sum()
    if total == 0:
        return 1.0
    near = d.truth_size[d.truth <= tolerance].sum() + d.pred_size[d.pred <= tolerance].sum()
    return float(near / total)


def mean_surface_overlap(d: Distances, tolerance: float) -> float:
    """Return the mean of the two shares of boundary within ``tolerance``, each of its own boundary (nnU-Net's NSD).

    Both masks empty: 1. One empty: 0.
    """
    if not len(d.truth) or not len(d.pred):
        return 0.0 if len(d.truth) or len(d.pred) else 1.0
    return float((np.mean(d.truth <= tolerance) + np.mean(d.pred <= tolerance)) / 2)


def diagonal(shape: tuple[int, ...], spacing: tuple[float, ...]) -> float:
    """Return the diagonal of the image (volume), in the unit of ``spacing``: more than any distance inside it."""
    return math.hypot(*(n * s for n, s in zip(shape, spacing, strict=True)))
