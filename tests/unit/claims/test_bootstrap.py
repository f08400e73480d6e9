"""The bootstrap against enumerations done by hand."""

import time
from collections import Counter

import numpy as np
import pandas as pd
import pytest

from covidseg.claims.bootstrap import draws, estimate, strata, weights
from tests.unit.claims.small import lines

MANY = 20_000


def shares(means: np.ndarray) -> dict[float, float]:
    """Return value -> share of the resamples with it."""
    return {value: n / len(means) for value, n in Counter(np.round(means, 6).tolist()).items()}


def test_two_cases_give_the_two_means_there_are() -> None:
    # One of two cases is drawn: 0.2 or 0.6, each half of the time.
    found = shares(draws(strata(lines({(0, "a"): [0.2], (0, "b"): [0.6]})), MANY, 0))
    assert found == pytest.approx({0.2: 0.5, 0.6: 0.5}, abs=0.02)


def test_three_cases_with_unequal_slices_give_the_nine_means_there_are() -> None:
    # a: 0.3, 0.5 (sum 0.8 of 2), b: -0.2 (of 1), c: 0.7 (of 1). Two of three are drawn, with replacement:
    # aa 0.4; bb -0.2; cc 0.7; ab, ba 0.6 / 3; ac, ca 1.5 / 3; bc, cb 0.5 / 2.
    found = shares(draws(strata(lines({(0, "a"): [0.3, 0.5], (0, "b"): [-0.2], (0, "c"): [0.7]})), MANY, 0))
    expected = {0.4: 1 / 9, -0.2: 1 / 9, 0.7: 1 / 9, 0.2: 2 / 9, 0.5: 2 / 9, 0.25: 2 / 9}
    assert found == pytest.approx(expected, abs=0.012)


def test_cases_are_drawn_within_their_fold() -> None:
    # a or b from fold 0, c or d from fold 1: never a with b. Half of 1 or 3, plus half of 10 or 20.
    found = shares(draws(strata(lines({(0, "a"): [1], (0, "b"): [3], (1, "c"): [10], (1, "d"): [20]})), MANY, 0))
    assert found == pytest.approx({5.5: 0.25, 6.5: 0.25, 10.5: 0.25, 11.5: 0.25}, abs=0.02)


def test_seeds_are_drawn_too() -> None:
    # Rows are cases, columns seeds. One case and one seed are drawn: each of the four values a quarter of the time.
    table = pd.concat([lines({(0, "a"): [1], (0, "b"): [2]}), lines({(0, "a"): [4], (0, "b"): [8]}, seed=1)])
    found = shares(draws(strata(table), MANY, 0))
    assert found == pytest.approx({1: 0.25, 2: 0.25, 4: 0.25, 8: 0.25}, abs=0.02)


def test_the_spread_of_resamples_is_the_standard_error() -> None:
    values = [0.1, 0.4, -0.2, 0.5]  # mean 0.2; deviations -0.1, 0.2, -0.4, 0.3: variance 0.3 / 3 = 0.1
    means = draws(strata(lines({(0, f"c{k}"): [v] for k, v in enumerate(values)})), 200_000, 0)
    assert means.var() == pytest.approx(0.1 / 4, rel=0.02)


def test_the_mean_is_the_tables() -> None:
    # Slices count alike, then seeds: seed 0 has (0.1 + 0.2 + 0.6) / 3 = 0.3, seed 1 has 0.5.
    first = lines({(0, "a"): [0.1, 0.2], (0, "b"): [0.6]})
    second = lines({(0, "a"): [0.5, 0.5], (0, "b"): [0.5]}, seed=1)
    assert estimate(pd.concat([first, second])).mean == pytest.approx(0.4)


def test_the_interval_of_two_cases_is_the_cases() -> None:
    found = estimate(lines({(0, "a"): [-0.2], (0, "b"): [0.6]}))
    assert (found.mean, found.low, found.high) == pytest.approx((0.2, -0.2, 0.6))
    assert found.p == pytest.approx(1.0, abs=0.05)  # half of the resamples lie below zero


def test_p_counts_resamples_on_the_other_side() -> None:
    # Of three cases two are drawn; the mean is at or below zero only for bb: 1 of 9, twice.
    found = estimate(lines({(0, "a"): [1], (0, "b"): [-0.5], (0, "c"): [1]}), resamples=MANY)
    assert found.p == pytest.approx(2 / 9, abs=0.02)
    same = estimate(lines({(0, f"c{k}"): [0.1] for k in range(6)}), resamples=999)
    assert same.p == pytest.approx(2 / 1000)  # none: never zero, the resamples are too few to say so
    assert (same.low, same.high) == pytest.approx((0.1, 0.1))


def test_no_difference_is_none() -> None:
    found = estimate(lines({(0, f"c{k}"): [0.1, -0.1] for k in range(6)}))
    assert (found.low, found.high, found.p) == (0, 0, 1)


def test_a_case_of_several_folds_is_one_unit() -> None:
    # Case a stands in both folds: drawn, it comes with both its slices. a: 1 + 3 of 2, b: 8 of 1, c: 0 of 1.
    (sums, counts), *others = strata(lines({(0, "a"): [1], (0, "b"): [8], (1, "a"): [3], (1, "c"): [0]}))
    assert others == []
    assert (sums.ravel().tolist(), counts.ravel().tolist()) == ([4, 8, 0], [2, 1, 1])


def test_folds_of_one_case_are_pooled() -> None:
    assert len(strata(lines({(0, "a"): [1], (1, "b"): [2]}))) == 1
    assert estimate(lines({(0, "a"): [1], (1, "b"): [2]})).low == pytest.approx(1)


def test_one_unit_is_kept() -> None:
    assert weights(np.random.default_rng(0), 1, 3).tolist() == [[1], [1], [1]]


def test_the_same_numbers_again_and_in_any_order() -> None:
    table = lines({(k % 5, f"c{k}"): [k / 10 - 1, 0.3] for k in range(20)})
    assert estimate(table) == estimate(table)
    assert estimate(table.sample(frac=1, random_state=1)).low == pytest.approx(estimate(table).low)


def test_papers_sizes_take_well_under_a_second() -> None:
    random = np.random.default_rng(0)
    table = lines({(k % 5, f"c{k}"): random.normal(size=93).tolist() for k in range(20)})  # 20 scans, 1860 slices
    started = time.process_time()
    estimate(table)
    assert time.process_time() - started < 0.5
