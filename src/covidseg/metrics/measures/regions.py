"""Shares of connected regions that were predicted rightly or found (Zhao et al. 2021, eqs. 9 and 10)."""

from __future__ import annotations

from covidseg.metrics.pair import Pair
from covidseg.metrics.regions import RegionCounts, count_regions


def rlp(pair: Pair) -> float:
    """Return the share of predicted 2-D regions whose centre lies in the truth; those of all slices count together."""
    return pair.total(count_regions).precision


def rlr(pair: Pair) -> float:
    """Return the share of true 2-D regions that hold the centre of a predicted one."""
    return pair.total(count_regions).recall


def rlr_own_centre(pair: Pair) -> float:
    """Return the share of true 2-D regions whose own centre was predicted: the other reading of RLR."""
    return pair.total(count_regions).coverage


def rlp_3d(pair: Pair) -> float:
    """Return the share of predicted regions whose centre lies in the truth, in 3-D for a case."""
    return pair.cached(_regions).precision


def rlr_3d(pair: Pair) -> float:
    """Return the share of true regions that hold the centre of a predicted one, in 3-D for a case."""
    return pair.cached(_regions).recall


def _regions(pair: Pair) -> RegionCounts:
    if pair.truth.ndim == 2:
        return pair.total(count_regions)
    return count_regions(pair.truth, pair.mask, pair.spacing)
