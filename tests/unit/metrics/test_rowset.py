"""The row-set distance: by pencil, by brute force, and against the package that SSA-Net's evaluator imports."""

import math

import numpy as np

from covidseg.metrics.rowset import rowset_hausdorff


def test_by_hand() -> None:
    # Rows of the truth: 110, 000; of the prediction: 100, 000. 110 is 1 pixel from 100; the others have their twin.
    truth, pred = np.array([[1, 1, 0], [0, 0, 0]], bool), np.array([[1, 0, 0], [0, 0, 0]], bool)
    assert rowset_hausdorff(truth, pred) == 1.0
    # 111 against 100 and 000: the nearest differs in 2 pixels.
    assert rowset_hausdorff(np.array([[1, 1, 1], [0, 0, 0]], bool), pred) == math.sqrt(2)


def test_it_is_no_distance_in_the_image() -> None:
    top, bottom = np.zeros((2, 100, 10), bool)
    top[0, :4] = bottom[99, :4] = True
    assert rowset_hausdorff(top, bottom) == 0.0


def test_a_row_without_lesion_counts_only_where_there_is_one() -> None:
    """1000 is 2 from 0111, but 1 from 0000, from which 0111 is sqrt(3)."""
    truth, pred = np.array([[1, 0, 0, 0]] * 2, bool), np.array([[0, 1, 1, 1]] * 2, bool)
    assert rowset_hausdorff(truth, pred) == 2
    above = np.zeros((1, 4), bool)
    assert rowset_hausdorff(np.vstack([above, truth]), np.vstack([above, pred])) == math.sqrt(3)
    assert rowset_hausdorff(np.vstack([truth, above]), np.vstack([pred, above])) == math.sqrt(3)


def test_empty_masks() -> None:
    empty, full = np.zeros((3, 4), bool), np.ones((3, 4), bool)
    assert rowset_hausdorff(empty, empty) == 0.0
    assert rowset_hausdorff(full, empty) == rowset_hausdorff(empty, full) == 2.0  # rows 1111 and 0000: sqrt(4)


def test_equals_brute_force() -> None:
    rng = np.random.default_rng(0)
    for share in (0.02, 0.3, 0.9):
        for _ in range(20):
            a, b = rng.random((2, 14, 11)) < share
            table = np.sqrt((a[:, None] != b[None]).sum(axis=2))
            assert rowset_hausdorff(a, b) == max(table.min(axis=1).max(), table.min(axis=0).max())


def test_value_of_the_hausdorff_package() -> None:
    # hausdorff 0.2.6, hausdorff_distance(truth, pred, distance="euclidean")
    y, x = np.mgrid[:48, :64]
    truth = ((y - 20) ** 2 + (x - 24) ** 2 <= 144) | ((y - 38) ** 2 + (x - 52) ** 2 <= 16)
    assert rowset_hausdorff(truth, (y - 22) ** 2 + (x - 28) ** 2 <= 127) == 3.0
