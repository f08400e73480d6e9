"""Mean-field inference."""

from __future__ import annotations

import pytest
import torch

from covidseg import nets
from covidseg.base.errors import UserError
from covidseg.nets.mean_field import MeanField


def test_unsure_pixels_follow_their_own_kind() -> None:
    """Left half dark, right half bright; one unsure pixel on each side takes the class of its half."""
    image = torch.zeros(1, 1, 8, 8)
    image[..., 4:] = 1
    logits = torch.full((1, 1, 8, 8), -3.0)
    logits[..., 4:] = 3
    logits[0, 0, 4, 1] = logits[0, 0, 4, 6] = 0
    refined = MeanField(5)(logits, image)
    assert refined[0, 0, 4, 1] < -1
    assert refined[0, 0, 4, 6] > 1


def test_a_border_in_the_image_stops_the_votes() -> None:
    """Pixel (4, 4) sees three columns of class 1 beyond the border of grey and three of background on its own side."""
    image = torch.zeros(1, 1, 9, 9)
    image[..., 5:] = 1
    logits = torch.where(image > 0, 4.0, -4.0)
    logits[0, 0, :, 4] = 0
    layer = MeanField(1)
    with torch.no_grad():
        layer.weights.copy_(torch.tensor([0.0, 1.0]))
    assert layer(logits, image)[0, 0, 4, 4] < -0.5
    assert layer(logits, torch.zeros_like(image))[0, 0, 4, 4].abs() < 1e-4  # without the border the sides are even


def test_equal_beliefs_stay() -> None:
    assert MeanField(3)(torch.zeros(1, 3, 5, 5), torch.rand(1, 1, 5, 5)).flatten(2).std(2).max() < 1e-5


def test_fcn8s_has_it_as_an_option() -> None:
    net = {"name": "fcn8s", "width": 0.125}
    assert nets.count(net | {"crf": 5}, 1, 1) == nets.count(net, 1, 1) + 2
    with pytest.raises(UserError, match=r"net\.crf: must be 0 or more \(found -1\)"):
        nets.build(net | {"crf": -1}, 1, 1)
