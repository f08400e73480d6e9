"""Paired bootstrap over cases, within folds, and over seeds where there are several."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

Array = np.ndarray[Any, Any]

RESAMPLES = 10_000
LEVEL = 0.95


@dataclass(frozen=True)
class Estimate:
    """A mean difference, its percentile interval, and the two-sided p of its sign."""

    mean: float
    low: float
    high: float
    p: float


def estimate(differences: pd.DataFrame, resamples: int = RESAMPLES, seed: int = 0) -> Estimate:
    """Return the mean of paired differences with its percentile interval and two-sided p value.

    ``differences`` has the columns fold, seed, case and difference, with a row per slice. The mean is computed as in
    the tables: over slices, then over seeds. p is twice the share of resamples at or beyond zero on the side opposite
    to the mean; it is never 0.
    """
    total = differences.groupby("seed").difference.mean().mean()
    means = np.round(draws(strata(differences), resamples, seed), 12)  # a sum that cancels is 0, not 1e-17
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    beyond = min(int((means <= 0).sum()), int((means >= 0).sum()))
    return Estimate(float(total), float(low), float(high), min(1.0, 2 * (1 + beyond) / (1 + resamples)))


def strata(differences: pd.DataFrame) -> list[tuple[Array, Array]]:
    """Return, per stratum, sums and counts of differences, (cases, seeds) each.

    Each fold is a stratum. Where a case is tested in several folds, or a fold has a single test case, the folds cannot
    be resampled separately; then all cases form one stratum.
    """
    folds_of = differences.groupby("case").fold.nunique()
    cases_in = differences.groupby("fold").case.nunique()
    alone = bool((folds_of > 1).any() or (cases_in < 2).any())
    keys = pd.Series(0, index=differences.index) if alone else differences.fold
    out = []
    for _, part in differences.groupby(keys):
        table = part.pivot_table(index="case", columns="seed", values="difference", aggfunc=["sum", "count"])
        out.append((table["sum"].fillna(0).to_numpy(float), table["count"].fillna(0).to_numpy(float)))
    return out


def draws(parts: Iterable[tuple[Array, Array]], resamples: int, seed: int) -> Array:
    """Return the mean difference of every resample, (resamples,)."""
    random = np.random.default_rng(seed)
    top, bottom = np.zeros(resamples), np.zeros(resamples)
    for sums, counts in parts:
        cases, seeds = (weights(random, n, resamples) for n in sums.shape)
        top += ((cases @ sums) * seeds).sum(axis=1)
        bottom += ((cases @ counts) * seeds).sum(axis=1)
    return top / bottom


def weights(random: np.random.Generator, n: int, resamples: int) -> Array:
    """Return the weight of each of ``n`` units in every resample, (resamples, n).

    n - 1 units are drawn with replacement and weighted by n / (n - 1). With the four cases of a fold, drawing n units
    would underestimate the variance by a quarter (Rao and Wu, JASA 83:231, 1988). A single unit has weight 1.
    """
    if n == 1:
        return np.ones((resamples, 1))
    return random.multinomial(n - 1, np.full(n, 1 / n), size=resamples) * (n / (n - 1))
