"""Measures and protocols on arrays, by pencil: 2 x 2 pixels of lesion of which 3 are found, on one of two slices."""

import math
from typing import Any

import numpy as np
import pytest

from covidseg import evaluate, metrics
from covidseg.base.errors import UserError

TRUTH = np.zeros((2, 4, 4), np.uint8)
TRUTH[0, 1:3, 1:3] = 1
FOUND = TRUTH.copy()
FOUND[0, 1, 1] = 0


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("dice", 6 / 7),
        ("sen", 3 / 4),
        ("spe", 1.0),
        ("mae", 1 / 32),
        ("volume_error", 1 * 10 * 0.5 * 0.5 / 1000),
        ("rlp", 1.0),
        ("missed", 0.0),
    ],
)
def test_measures_of_a_scan(name: str, value: float) -> None:
    assert metrics.measure(name, TRUTH, FOUND, (10, 0.5, 0.5)) == value


def test_regions_of_a_scan_are_counted_slice_by_slice() -> None:
    """One region in 3-D, but two in 2-D, of which the first one is missed."""
    truth = np.ones((2, 1, 3), bool)
    found = truth.copy()
    found[0] = False
    assert metrics.measure("rlr", truth, found) == 1 / 2
    assert metrics.measure("rlr_3d", truth, found) == 1


def test_probabilities_are_cut_at_the_threshold() -> None:
    prob = np.array([[0.4, 0.6]])
    assert metrics.measure("dice", [[1, 1]], prob) == 2 / 3
    assert metrics.measure("dice", [[1, 1]], prob, threshold=0.3) == 1
    assert metrics.measure("mae", [[1, 1]], prob) == pytest.approx(0.5)


def test_a_protocol_averages_over_its_unit() -> None:
    """standard: the mean of slices, of which the second is empty in both; scoat: all pixels of the case."""
    assert evaluate.score_arrays("standard", TRUTH, FOUND)["dice"] == (6 / 7 + 1) / 2
    assert evaluate.score_arrays("scoat", TRUTH, FOUND)["dsc"] == 6 / 7
    assert math.isnan(evaluate.score_arrays("scans", TRUTH, FOUND)["volume_error"])  # ml need a spacing


def test_one_voxel_counts_as_there() -> None:
    one, none = np.zeros((1, 2, 2), np.uint8), np.zeros((1, 2, 2), np.uint8)
    one[0, 0, 0] = 1
    values = {name: [metrics.measure(name, a, b) for a, b in ((one, one), (one, none), (none, one), (none, none))]
              for name in ("missed", "invented", "agrees")}  # fmt: skip
    assert values == {"missed": [0, 1, 0, 0], "invented": [0, 0, 1, 0], "agrees": [1, 0, 0, 1]}
    other = one[:, ::-1] | one[:, :, ::-1]
    assert metrics.measure("invented", one | one[:, ::-1], other) == 0  # half found, half beside it


def test_distances_are_within_3_pixels_where_nothing_else_is_said() -> None:
    """A pixel and another one 4 columns on: of the corners of each, two are 3 and two are 4 pixels from the other."""
    truth, found = np.zeros((2, 9, 9), np.uint8)
    truth[4, 2] = found[4, 6] = 1
    assert metrics.measure("nsd", truth, found) == 0.5
    assert metrics.measure("nsd", truth, found, tolerance=4) == 1


def test_the_row_set_distance_is_95_hundredths_of_its_maximum() -> None:
    """Rows 110 and 000 against 100 and 000: one pixel."""
    assert metrics.measure("hd95_rowset", [[1, 1, 0], [0, 0, 0]], [[1, 0, 0], [0, 0, 0]]) == 0.95


def test_every_measure_says_what_it_computes() -> None:
    assert all(metrics.about(name).startswith("Return") for name in metrics.names())


@pytest.mark.parametrize(
    ("truth", "found", "spacing", "said"),
    [
        ([[0, 2]], [[0, 1]], None, "truth: expected a mask of 0 and 1"),
        ([[0, 1]], [[0, 255]], None, "prediction: expected a mask of 0 and 1, or probabilities"),
        ([[0, 1]], [[0.0, 3.2]], None, "prediction: expected probabilities in 0..1"),
        ([[0, 1]], [[0.0, math.nan]], None, "prediction: expected probabilities in 0..1"),
        ([[0, 1]], [[0], [1]], None, "of one shape (1x2 and 2x1)"),
        ([0, 1], [0, 1], None, "expected two slices (H, W) or scans (S, H, W)"),
        ([[0, 1]], [[0, 1]], (1.0,), "spacing: expected 2 numbers above 0"),
        ([[0, 1]], [[0, 1]], (1.0, 0.0), "spacing: expected 2 numbers above 0"),
    ],
)
def test_what_is_no_mask_is_refused(truth: Any, found: Any, spacing: Any, said: str) -> None:
    with pytest.raises(UserError) as e:
        metrics.measure("dice", truth, found, spacing)
    assert said in str(e.value)


def test_a_measure_of_slices_refuses_a_volume() -> None:
    with pytest.raises(UserError, match="hd95_rowset compares the rows of a slice"):
        metrics.measure("hd95_rowset", TRUTH, FOUND)


def test_an_unknown_measure_is_refused_with_the_nearest() -> None:
    with pytest.raises(UserError, match="unknown measure 'dize'; did you mean 'dice'"):
        metrics.measure("dize", TRUTH, FOUND)
