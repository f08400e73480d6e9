"""Losses of SCOAT-Net's table I by hand: probabilities of 1/2 and 3/4 come from logits of 0 and ln 3."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from covidseg import losses
from covidseg.base.errors import UserError
from covidseg.losses.dice import dice
from covidseg.losses.focal import focal
from covidseg.losses.iou import iou
from covidseg.losses.mae import mae

LN3 = math.log(3)


def outputs(*slices: list[float]) -> dict[str, Any]:
    return {"logits": torch.tensor(slices)[:, None, None, :].requires_grad_()}


def target(*slices: list[int]) -> torch.Tensor:
    return torch.tensor(slices, dtype=torch.uint8)[:, None, :]


def test_mae_is_a_mean_over_classes_and_pixels() -> None:
    """Background with a probability of 1/3, as both classes have: errors of 1/3 and 1/3. One class of 1/2: 1/2."""
    logits = torch.zeros(1, 3, 2, 4)
    assert mae({"logits": logits}, torch.zeros(1, 2, 4, dtype=torch.uint8)).item() == pytest.approx(1 / 3)
    assert mae(outputs([0.0, 9.0]), target([1, 255])).item() == pytest.approx(1 / 2)


def test_mae_leaves_out_pixels_without_a_label() -> None:
    assert mae(outputs([LN3, 0, 0, -LN3]), target([1, 0, 255, 1])).item() == pytest.approx((1 / 4 + 1 / 2 + 3 / 4) / 3)


def test_iou_sums_over_the_batch() -> None:
    """Common 3/4; probabilities 3/4 + 1/2 + 1/4 and a truth of 1 make the union 7/4."""
    found = iou(outputs([LN3, 0], [-LN3, 0]), target([1, 0], [0, 255])).item()
    assert found == pytest.approx(1 - (3 / 4 + 1) / (7 / 4 + 1))
    assert iou(outputs([-100.0, -100.0]), target([0, 0])).item() == pytest.approx(0, abs=1e-6)


def test_focal_weighs_what_is_right_already_down() -> None:
    lesion, background = -0.25 * (1 / 4) ** 2 * math.log(3 / 4), -0.75 * (1 / 2) ** 2 * math.log(1 / 2)
    found = focal(outputs([LN3, 0, 5]), target([1, 0, 255])).item()
    assert found == pytest.approx((lesion + background) / 2)
    plain = focal(outputs([LN3, 0]), target([1, 0]), gamma=0, alpha=0.5).item()
    assert plain == pytest.approx(-(math.log(3 / 4) + math.log(1 / 2)) / 4)  # half the cross entropy


def test_dice_over_the_batch_with_squares() -> None:
    """Common 3/4; squares 9/16 + 1/4 + 1/16 of the probabilities, 1 of the truth."""
    found = dice(outputs([LN3, 0], [-LN3, 0]), target([1, 0], [0, 255]), over="batch", squares=True).item()
    assert found == pytest.approx(1 - (2 * 3 / 4 + 1) / (14 / 16 + 1 + 1))
    plain = dice(outputs([LN3, 0], [-LN3, 0]), target([1, 0], [0, 255]), over="batch").item()
    assert plain == pytest.approx(1 - (2 * 3 / 4 + 1) / (6 / 4 + 1 + 1))


@pytest.mark.parametrize("name", ["mae", "iou", "focal"])
def test_gradients_are_finite_where_the_network_is_sure(name: str) -> None:
    given = outputs([200.0, -200.0, 200.0, 0.0])
    losses.total({name: {}}, given, target([0, 1, 1, 255]), 0)[0].backward()
    gradient = given["logits"].grad
    assert gradient is not None
    assert torch.isfinite(gradient).all()
    assert gradient[..., 3].item() == 0


def test_focal_refuses_what_it_cannot_weigh() -> None:
    for options, words in (({"gamma": -1.0}, "gamma must be"), ({"alpha": 2.0}, "alpha from 0 to 1")):
        with pytest.raises(UserError, match=words):
            focal(outputs([0.0]), target([1]), **options)
    with pytest.raises(UserError, match="targets are soft"):
        focal(outputs([0.0]), torch.ones(1, 1, 1))


def test_two_classes_by_hand() -> None:
    """Three pixels, found 0, 1, 2 where 1, 1, 2 are true: one wrong of six; unions of 2 and 1 pixels, each plus one."""
    logits = 100 * torch.nn.functional.one_hot(torch.tensor([0, 1, 2]), 3).float().t()[None, :, None, :]
    assert mae({"logits": logits}, target([1, 1, 2])).item() == pytest.approx(1 / 6)
    assert iou({"logits": logits}, target([1, 1, 2])).item() == pytest.approx(1 - (2 / 3 + 1) / 2)


def test_one_labelled_pixel_is_a_mean_of_one() -> None:
    found = focal(outputs([0.0, 5.0]), target([1, 255])).item()
    assert found == pytest.approx(0.25 * (1 / 2) ** 2 * math.log(2))
