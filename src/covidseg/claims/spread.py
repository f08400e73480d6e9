"""Claims about spread: the scores of one run differ less from seed to seed than those of another."""

from __future__ import annotations

import numpy as np
import pandas as pd

from covidseg.claims.bootstrap import LEVEL, Estimate

FEWEST = 3  # seeds; with two a standard deviation is one difference


def by_seed(scores: pd.DataFrame, metric: str) -> pd.Series:
    """Return the mean score of each seed, over all its slices and classes; slices without a value are left out."""
    return scores.groupby("seed")[metric].mean().dropna()


def estimate(better: pd.Series, than: pd.Series) -> Estimate | None:
    """Return by how much less the scores of ``better`` spread over seeds than those of ``than``.

    The spread is the standard deviation. The interval and the two-sided p come from the F test of two variances, which
    assumes normally distributed scores; the limits of the variance ratio are converted to limits of the difference with
    the observed spread of ``than``. With few seeds the interval is wide: with three, one spread has to be six times the
    other to be significant. Returns None with fewer than three seeds.
    """
    from scipy.stats import f

    if min(len(better), len(than)) < FEWEST:
        return None
    a, b = float(better.std(ddof=1)), float(than.std(ddof=1))
    if not b:  # nothing can be steadier
        return Estimate(-a, -a, -a, 0.0 if a else 1.0)
    freedom, tail = (len(than) - 1, len(better) - 1), (1 - LEVEL) / 2
    ratio = np.inf if a == 0 else b**2 / a**2
    low, high = (ratio / f.ppf(1 - tail, *freedom), ratio / f.ppf(tail, *freedom))
    limits = [b - b / np.sqrt(limit) for limit in (low, high)]
    p = min(1.0, 2 * float(min(f.cdf(ratio, *freedom), f.sf(ratio, *freedom))))
    return Estimate(b - a, float(limits[0]), float(limits[1]), p)
