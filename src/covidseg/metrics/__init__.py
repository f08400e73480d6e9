"""Metrics of two masks. A protocol (``covidseg.evaluate``) says which of them count and what is averaged.

``names`` lists the measures, which are the functions of the files in ``measures``; ``measure`` computes one of them
from arrays.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from covidseg.base.errors import UserError, nearest
from covidseg.metrics import measures

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = ["about", "measure", "names"]


def names() -> list[str]:
    """Return the names of all measures."""
    return sorted(measures.names())


def about(name: str) -> str:
    """Return what a measure computes, and what an empty mask gets. Raises UserError for an unknown measure."""
    return (measures.load(_known(name)).__doc__ or "").strip()


def measure(
    name: str,
    truth: ArrayLike,
    prediction: ArrayLike,
    spacing: tuple[float, ...] | None = None,
    *,
    threshold: float = 0.5,
    tolerance: float = 3.0,
) -> float:
    """Return one measure of a slice (H, W) or of a scan (S, H, W).

    ``truth`` holds 0 and 1 (or bool), ``prediction`` the same or probabilities as float in 0..1, which are cut at
    ``threshold``. ``spacing`` is the size of a pixel along each axis in mm; without it lengths are in pixels.
    ``tolerance``, of the surface Dice, is in the same unit. Raises UserError for an unknown measure and for arrays that
    do not fit together.
    """
    from covidseg.metrics.arrays import pair_of

    return float(measures.load(_known(name))(pair_of(truth, prediction, spacing, threshold, tolerance)))


def _known(name: str) -> str:
    if name not in measures.names():
        raise UserError(f"unknown measure {name!r}; {nearest(name, measures.names())}")
    return name
