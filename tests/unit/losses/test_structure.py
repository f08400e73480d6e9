"""Structure loss with a pencil, and against its formulas written out pixel by pixel."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

from covidseg.base.errors import UserError
from covidseg.losses.structure import structure

Floats = npt.NDArray[np.float64]


def single(logits: list[list[float]], target: list[list[int]], **options: Any) -> float:
    outputs = {"logits": torch.tensor(logits)[None, None]}
    return structure(outputs, torch.tensor(target, dtype=torch.uint8)[None], **options).item()


@pytest.mark.parametrize("bce", ["described", "released"])
def test_without_lesion_every_pixel_weighs_one(bce: Any) -> None:
    """Nine pixels of a half: common 0, both 4.5."""
    found = single([[0.0] * 3] * 3, [[0] * 3] * 3, bce=bce)
    assert found == pytest.approx(1 - 1 / 5.5 + math.log(2), abs=1e-6)


def test_nine_pixels_of_lesion() -> None:
    """The window of each of 3x3 pixels holds all nine and 952 beyond the border: w = 1 + 5 * 952 / 961."""
    w = 1 + 5 * 952 / 961
    common, both = 9 * w / 2, 9 * w * 3 / 2
    expected = 1 - (common + 1) / (both - common + 1) + math.log(2)
    assert single([[0.0] * 3] * 3, [[1] * 3] * 3) == pytest.approx(expected, abs=1e-6)


def test_one_pixel_of_lesion_in_four_found_beside_it() -> None:
    """w is 1 + 5 * 960 / 961 on the lesion, 1 + 5 / 961 off it; the second pixel is taken for it, so nothing is common.

    Logits of 100 on the wrong side cost 100 each.
    """
    lesion, other = 1 + 5 * 960 / 961, 1 + 5 / 961
    iou = 1 - 1 / (lesion + other + 1)
    logits, target = [[-100.0, 100.0], [-100.0, -100.0]], [[1, 0], [0, 0]]
    weighted = 100 * (lesion + other) / (lesion + 3 * other)
    assert single(logits, target) == pytest.approx(iou + weighted, abs=1e-4)
    assert single(logits, target, bce="released") == pytest.approx(iou + 100 * 2 / 4, abs=1e-4)


def test_maps_are_summed() -> None:
    target = torch.zeros(1, 3, 3, dtype=torch.uint8)
    maps = [torch.zeros(1, 1, 3, 3)] * 4
    one = structure({"logits": maps[0]}, target).item()
    assert structure({"logits": maps[0], "side": maps[1:]}, target).item() == pytest.approx(4 * one)


@pytest.mark.parametrize("bce", ["described", "released"])
def test_the_formulas_written_out(bce: Any) -> None:
    random = np.random.default_rng(3)
    logits = random.normal(size=(2, 40, 37))
    target = np.zeros((2, 40, 37), np.uint8)
    target[0, 5:20, 10:30] = target[1, :3, 30:] = 1
    outputs = {"logits": torch.from_numpy(logits).float()[:, None]}
    found = structure(outputs, torch.from_numpy(target), bce=bce).item()
    per_slice = [written_out(z, g.astype(float)) for z, g in zip(logits, target, strict=True)]
    expected = np.mean([iou + (weighted if bce == "described" else plain) for iou, weighted, plain in per_slice])
    assert found == pytest.approx(expected, rel=1e-5)


def written_out(z: Floats, g: Floats) -> tuple[float, float, float]:
    """Return 1 - weighted IoU, weighted and plain cross entropy of one slice."""
    H, W = g.shape
    padded = np.pad(g, 15)
    mean = np.array([[padded[y : y + 31, x : x + 31].mean() for x in range(W)] for y in range(H)])
    w = 1 + 5 * np.abs(mean - g)
    p = 1 / (1 + np.exp(-z))
    common, both = (w * p * g).sum(), (w * (p + g)).sum()
    entropy = -(g * np.log(p) + (1 - g) * np.log(1 - p))
    return 1 - (common + 1) / (both - common + 1), (w * entropy).sum() / w.sum(), entropy.mean()


def test_one_class_only() -> None:
    with pytest.raises(UserError, match=r"losses\.structure: for one class only \(found 2\); use dice"):
        structure({"logits": torch.zeros(1, 3, 4, 4)}, torch.zeros(1, 4, 4, dtype=torch.uint8))
