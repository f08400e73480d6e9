"""Attention maps over epochs, labels from them, random walks: by pencil."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from covidseg.train.attention import Accumulated, kept_epochs, merge, normalised, probability
from covidseg.train.image_labels import accuracy, auc
from covidseg.train.walk import walk

MAPS = np.array([[[1, 0], [0, 0.5]], [[0, 1], [0, 0.5]], [[0, 0.5], [0, 0.2]]], np.float32)


def test_running_mean_against_maximum() -> None:
    """Three maps of 2 x 2: their mean is (1/3, 1/2, 0, 0.4), whatever their order; their maximum (1, 1, 0, 0.5)."""
    found = Accumulated(1, (2, 2), 0)
    for map_ in MAPS:
        found.add(np.array([0]), map_[None])
    np.testing.assert_allclose(found.maps["average"][0], [[1 / 3, 0.5], [0, 0.4]], atol=1e-6)
    np.testing.assert_array_equal(found.maps["max"][0], np.array([[1, 1], [0, 0.5]], np.float32))
    np.testing.assert_array_equal(found.maps["last"][0], MAPS[2])


def test_an_epoch_in_which_a_slice_was_not_found_does_not_count() -> None:
    found = Accumulated(2, (2, 2), 1)
    found.add(np.array([0, 1]), MAPS[:2])
    found.add(np.array([1]), MAPS[2:])
    found.keep(0, np.array([1]), MAPS[2:])
    np.testing.assert_array_equal(found.maps["average"][0], MAPS[0])
    np.testing.assert_allclose(found.maps["average"][1], (MAPS[1] + MAPS[2]) / 2, atol=1e-6)
    assert found.times.tolist() == [1, 2]
    assert found.kept[:, 0].tolist() == [[[0, 0], [0, 0]], [[0, 128], [0, 51]]]


def test_maps_are_normalised_by_their_largest_value() -> None:
    cam = np.array([[[-1.0, 2.0], [4.0, 0.0]], [[-1.0, -2.0], [0.0, 0.0]]], np.float32)
    np.testing.assert_array_equal(normalised(cam), [[[0, 0.5], [1, 0]], [[0, 0], [0, 0]]])


@pytest.mark.parametrize(
    ("first", "last", "most", "expected"),
    [(1, 15, 3, [1, 8, 15]), (1, 2, 3, [1, 2]), (4, 4, 3, [4]), (1, 10, 4, [1, 4, 7, 10])],
)
def test_epochs_that_are_kept(first: int, last: int, most: int, expected: list[int]) -> None:
    assert kept_epochs(first, last, most) == expected


def test_merging_attention_and_saliency() -> None:
    """Foreground 0.3 of 255 is 76 (76.5 rounds to even), background 32: rows by attention, columns by saliency."""
    attention = np.array([[0] * 4, [75] * 4, [76] * 4, [255] * 4], np.uint8)
    saliency = np.array([[0, 32, 33, 255]] * 4, np.uint8)
    assert merge(attention, saliency, 0.3, 32 / 255).tolist() == [[0, 0, 255, 255]] * 2 + [[1] * 4] * 2


def test_a_map_as_probability_is_half_at_the_threshold() -> None:
    shown = probability(np.array([[0, 38, 75, 76, 255]], np.uint8), 0.3)
    assert shown.tolist() == [[0, 64, 126, 128, 255]]
    assert (shown / 255 >= 0.5).tolist() == [[False, False, False, True, True]]


def test_a_random_walk_on_three_nodes() -> None:
    """A row a, b, c without edges and radius 2: a and c have one neighbour, b two. From (1, 0, 0) one step gives
    (1/2, 1/2, 0), the next (1/4 + 1/6, 1/4 + 1/6, 1/6).
    """
    start, edge = torch.tensor([[[1.0, 0, 0]]]), torch.zeros(1, 1, 3)
    torch.testing.assert_close(walk(start, edge, 2, 10, 1), torch.tensor([[[0.5, 0.5, 0.0]]]))
    torch.testing.assert_close(walk(start, edge, 2, 10, 2), torch.tensor([[[5 / 12, 5 / 12, 1 / 6]]]))


def test_a_border_stops_the_walk() -> None:
    """The place c is an edge of strength 1: nothing passes it, and a and b share what there is."""
    after = walk(torch.tensor([[[1.0, 0, 0, 0, 0]]]), torch.tensor([[[0.0, 0, 1, 0, 0]]]), 4, 10, 64)
    torch.testing.assert_close(after, torch.tensor([[[0.5, 0.5, 0, 0, 0]]]))


def test_the_walk_is_the_release_s_matrix_power() -> None:
    """IRN squares the matrix of transition probabilities eight times; here the steps are done one by one."""
    torch.manual_seed(0)
    edge, start = torch.rand(1, 3, 4) * 0.5, torch.rand(1, 3, 4)
    affinity = torch.eye(12)
    for i in range(12):
        for j in range(12):
            (a, b), (c, d) = divmod(i, 4), divmod(j, 4)
            if i != j and abs(a - c) <= 1 and abs(b - d) <= 1:  # radius 2: the eight neighbours
                affinity[i, j] = (1 - torch.maximum(edge[0, a, b], edge[0, c, d])) ** 3
    transition = affinity / affinity.sum(0)
    expected = (transition.matrix_power(16) @ (start * (1 - edge)).flatten()).view(1, 3, 4)
    torch.testing.assert_close(walk(start, edge, 2, 3, 16), expected)


def test_accuracy_and_area_under_the_curve() -> None:
    """Sick 0.9 and 0.4, healthy 0.1, 0.4 and 0.6: of six pairs 4.5 are in order, as 0.4 ties with 0.4."""
    p, sick = np.array([0.9, 0.4, 0.1, 0.4, 0.6]), np.array([True, True, False, False, False])
    assert accuracy(p, sick) == 3 / 5
    assert auc(p, sick) == 4.5 / 6
    assert auc(p[:2], sick[:2]) is None
