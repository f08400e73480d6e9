"""Proportions by hand: ln 3 is a probability of 3/4, logits of 100 are probabilities of 0 and 1."""

from __future__ import annotations

import math

import pytest
import torch

from covidseg.losses.proportions import proportions


def test_equal_areas_cost_nothing_wherever_they_are() -> None:
    logits = torch.tensor([[100.0, -100.0, -100.0, 100.0]]).view(1, 1, 2, 2)
    target = torch.tensor([[[0, 1], [1, 0]]], dtype=torch.uint8)
    assert proportions({"logits": logits}, target).item() == 0


def test_one_class_by_hand() -> None:
    """3/4 everywhere, a quarter is true: half too much of the class, half too little of background."""
    logits = torch.full((1, 1, 2, 2), math.log(3))
    target = torch.tensor([[[0, 1], [0, 0]]], dtype=torch.uint8)
    assert proportions({"logits": logits}, target).item() == pytest.approx(0.5**2 + 0.5**2)


def test_two_classes_and_two_slices_by_hand() -> None:
    """A third each. True are 0, 1/2 and 1/2 in one slice, only background in the other; then the mean of both."""
    target = torch.tensor([[[1, 2]], [[0, 0]]], dtype=torch.uint8)
    first, second = 2 * (1 / 6) ** 2 + (1 / 3) ** 2, 2 * (1 / 3) ** 2 + (2 / 3) ** 2
    value = proportions({"logits": torch.zeros(2, 3, 1, 2)}, target)
    assert value.item() == pytest.approx((first + second) / 2)


def test_proportions_are_of_the_labelled_pixels() -> None:
    """Of two pixels with a label one is true; what is predicted on the others does not count."""
    logits = torch.tensor([[100.0, -100.0, 100.0, 100.0]]).view(1, 1, 1, 4)
    target = torch.tensor([[[0, 1, 255, 255]]], dtype=torch.uint8)
    assert proportions({"logits": logits}, target).item() == 0
    assert proportions({"logits": logits}, torch.full_like(target, 255)).item() == 0


def test_one_labelled_pixel_is_a_share_of_one() -> None:
    logits = torch.tensor([[100.0, -100.0]]).view(1, 1, 1, 2)
    assert proportions({"logits": logits}, torch.tensor([[[0, 255]]], dtype=torch.uint8)).item() == 2
