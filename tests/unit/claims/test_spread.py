"""Spread over seeds by hand."""

from __future__ import annotations

import pandas as pd
import pytest

from covidseg.claims import spread


def series(*values: float) -> pd.Series:
    return pd.Series(values, index=range(len(values)))


def test_scores_of_a_seed_are_averaged() -> None:
    frame = pd.DataFrame({"seed": [0, 0, 1, 1], "dice": [0.2, 0.4, 0.5, None]})
    assert spread.by_seed(frame, "dice").tolist() == pytest.approx([0.3, 0.5])


def test_three_seeds_by_hand() -> None:
    """Deviations 1 and 0.1. F(2, 2) has the quantiles 39 and 1/39: the ratio of variances, 100, is 2.564 to 3,900."""
    found = spread.estimate(series(-0.1, 0.0, 0.1), series(-1.0, 0.0, 1.0))
    assert found is not None
    assert found.mean == pytest.approx(0.9)
    assert (found.low, found.high) == pytest.approx((1 - (39 / 100) ** 0.5, 1 - (1 / 3900) ** 0.5))
    assert found.p == pytest.approx(2 / 101)  # of F(2, 2) a share of 1 / (1 + x) lies above x


def test_the_other_way_round_it_is_not_steadier() -> None:
    found = spread.estimate(series(-1.0, 0.0, 1.0), series(-0.1, 0.0, 0.1))
    assert found is not None
    assert found.low < found.high < 0


def test_six_times_the_spread_is_not_enough_with_three_seeds() -> None:
    found = spread.estimate(series(-1.0, 0.0, 1.0), series(-6.0, 0.0, 6.0))
    assert found is not None
    assert found.low < 0 < found.high
    assert spread.estimate(series(-1.0, 0.0, 1.0), series(-6.3, 0.0, 6.3)).low > 0  # type: ignore[union-attr]


def test_two_seeds_have_no_spread() -> None:
    assert spread.estimate(series(0, 1), series(0, 1)) is None


def test_equal_scores_are_as_steady_as_can_be() -> None:
    same = spread.estimate(series(1, 1, 1), series(1, 1, 1))
    steady = spread.estimate(series(1, 1, 1), series(1, 2, 3))
    assert same is not None
    assert (same.mean, same.low, same.high) == (0, 0, 0)
    assert steady is not None
    assert (steady.mean, steady.low, steady.high) == pytest.approx((1, 1, 1))
