"""Overlap by pencil: four pixels."""

import numpy as np
import pytest

from covidseg.metrics.overlap import Counts, binarise, count, label_map, mean_absolute_error

EMPTY, ONE, ALL = (np.array(m, bool) for m in ([[0, 0], [0, 0]], [[1, 0], [0, 0]], [[1, 1], [1, 1]]))


def test_one_of_two_pixels_found_and_one_invented() -> None:
    counts = count(np.array([[1, 1], [0, 0]], bool), np.array([[1, 0], [1, 0]], bool))
    assert counts == Counts(tp=1, fp=1, fn=1, tn=1)
    assert (counts.dice, counts.sensitivity, counts.specificity, counts.error) == (0.5, 0.5, 0.5, 0.5)


@pytest.mark.parametrize(
    ("truth", "mask", "dice", "sen", "spe", "error"),
    [
        (EMPTY, EMPTY, 1.0, 1.0, 1.0, 0.0),
        (EMPTY, ONE, 0.0, 1.0, 0.75, 0.25),
        (ONE, EMPTY, 0.0, 0.0, 1.0, 0.25),
        (ALL, ALL, 1.0, 1.0, 1.0, 0.0),
        (ONE, ALL, 0.4, 1.0, 0.0, 0.75),
    ],
)
def test_empty_and_full_masks(truth, mask, dice, sen, spe, error) -> None:
    counts = count(truth, mask)
    assert (counts.dice, counts.sensitivity, counts.specificity, counts.error) == (dice, sen, spe, error)


@pytest.mark.parametrize(
    ("truth", "mask", "precision", "volume"),
    [
        (EMPTY, EMPTY, 1.0, 1.0),
        (EMPTY, ONE, 0.0, -1.0),
        (ONE, EMPTY, 0.0, -1.0),
        (ALL, ALL, 1.0, 1.0),
        (ONE, ALL, 0.25, -0.2),  # one of four is right; 1 - 2 * 3 / 5
    ],
)
def test_precision_and_volume(truth, mask, precision, volume) -> None:
    counts = count(truth, mask)
    assert (counts.precision, counts.volume_accuracy) == (precision, pytest.approx(volume))


def test_counts_add_up() -> None:
    assert Counts(1, 2, 3, 4) + Counts(10, 20, 30, 40) == Counts(11, 22, 33, 44)


def test_a_half_is_lesion_in_both_scales() -> None:
    # round(255 * 0.5) = 128
    assert binarise(np.array([[0, 127, 128, 255]], np.uint8), 0.5).tolist() == [[False, False, True, True]]
    assert binarise(np.array([[0.0, 0.499, 0.5, 1.0]]), 0.5).tolist() == [[False, False, True, True]]


def test_mae_of_a_map() -> None:
    truth = np.array([[1, 0], [0, 1]], bool)
    assert mean_absolute_error(np.array([[1.0, 0.5], [0.25, 0.75]]), truth) == 0.25  # (0 + .5 + .25 + .25) / 4
    assert mean_absolute_error(np.array([[255, 51], [0, 204]], np.uint8), truth) == pytest.approx(0.1, abs=1e-15)


def test_the_most_probable_of_background_and_classes() -> None:
    """Of 255, background has 128, 89, 128, 55, 0: it leads, loses to the second class, loses a tie, loses to a tie;
    at last both maps were rounded up to 128 and nothing is left."""
    prob = np.array([[[77, 64, 127, 100, 128]], [[50, 102, 0, 100, 128]]], np.uint8)
    prob[0, 0, 2] = 128  # background 127
    assert label_map(prob).tolist() == [[0, 2, 1, 1, 1]]
    tied = np.array([[[85]], [[85]]], np.uint8)  # background 85 too
    assert label_map(tied).tolist() == [[1]]


def test_one_class_is_its_threshold() -> None:
    prob = np.arange(256, dtype=np.uint8)[None, None]
    np.testing.assert_array_equal(label_map(prob) == 1, binarise(prob[0], 0.5))
