"""A truth and a prediction, and the measures a protocol can ask of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from covidseg.metrics import surface
from covidseg.metrics.overlap import Counts
from covidseg.metrics.rowset import rowset_hausdorff


@dataclass
class Pair:
    """Two masks of one shape, 2-D or 3-D, with what is known of them.

    ``spacing`` is per axis and ``tolerance`` in its unit; ``counts`` and ``mae`` (of the probability map) may cover
    fewer voxels than the masks. Boundaries are found once, when the first measure asks for them.
    """

    truth: NDArray[np.bool_]
    mask: NDArray[np.bool_]
    spacing: tuple[float, ...]
    tolerance: float
    counts: Counts
    mae: float

    @cached_property
    def contour(self) -> surface.Distances:
        """Distances between the contours."""
        return surface.contour_distances(self.truth, self.mask, self.spacing)

    @cached_property
    def border(self) -> surface.Distances:
        """Distances between the border pixels."""
        return surface.border_distances(self.truth, self.mask, self.spacing)

    @property
    def worst(self) -> float:
        """The distance that a missed or invented lesion costs: the diagonal of the image."""
        return surface.diagonal(self.truth.shape, self.spacing)


MEASURES: dict[str, Callable[[Pair], float]] = {
    "dice": lambda p: p.counts.dice,
    "sen": lambda p: p.counts.sensitivity,
    "spe": lambda p: p.counts.specificity,
    "mae": lambda p: p.mae,
    "mae_mask": lambda p: p.counts.error,
    "hd95": lambda p: surface.robust_hausdorff(p.contour, p.worst),
    "nsd": lambda p: surface.surface_dice(p.contour, p.tolerance),
    "hd95_border": lambda p: surface.pooled_hausdorff(p.border, p.worst),
    "nsd_border": lambda p: surface.mean_surface_overlap(p.border, p.tolerance),
    "hd95_rowset": lambda p: 0.95 * rowset_hausdorff(p.truth, p.mask),
}
