"""Eq. 2 of Jin et al. by pencil: features, codes and a reconstruction of few numbers."""

from __future__ import annotations

import pytest
import torch

from covidseg.base.errors import UserError
from covidseg.losses.vq import vq

TARGET = torch.zeros(1, 1, 2, dtype=torch.uint8)


def level(z: float, e: float) -> list[torch.Tensor]:
    return [torch.full((1, 1, 1, 2), value, requires_grad=True) for value in (z, e)]


def test_codes_and_features_come_nearer_and_levels_add_up() -> None:
    """|z - e| is 2 and 1: squares 4 and 1, each counted once for the code and a quarter for the feature."""
    first, second = level(3.0, 1.0), level(0.0, 1.0)
    value = vq({"vq": [*first, *second]}, TARGET)
    assert value.item() == pytest.approx(1.25 * (4 + 1))
    value.backward()
    (z, e), gradients = first, [4.0 / 2, -0.25 * 4.0 / 2]  # of the mean of two squares
    assert e.grad is not None
    assert z.grad is not None
    assert e.grad.flatten().tolist() == pytest.approx([-gradients[0]] * 2)
    assert z.grad.flatten().tolist() == pytest.approx([-gradients[1]] * 2)
    assert vq({"vq": level(3.0, 1.0)}, TARGET, beta=0.5).item() == pytest.approx(1.5 * 4)


def test_the_image_counts_by_its_variance() -> None:
    """The image 0, 1 has a variance of 1/4, its reconstruction 0.5, 0.5 an error of 1/4."""
    image = torch.tensor([[[[0.0, 1.0]]]])
    outputs = {"vq": level(1.0, 1.0), "reconstruction": (image, torch.full_like(image, 0.5))}
    assert vq(outputs, TARGET).item() == pytest.approx(1.0)


def test_without_a_codebook_it_is_refused() -> None:
    with pytest.raises(UserError, match=r"^losses\.vq: this network has no codebook"):
        vq({}, TARGET)
