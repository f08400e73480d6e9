"""Edge maps by hand, and against those that Inf-Net's authors released."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from covidseg.base.errors import UserError
from covidseg.losses import edge_maps
from covidseg.losses.edge import edge

SQUARE = """
    ......
    .####.
    .####.
    .####.
    .####.
    ......"""
HOLE = """
    #####
    ##.##
    #####"""
CORNER = """
    ###.
    ##..
    ....
    ....
    """


def bits(picture: str) -> torch.Tensor:
    return torch.tensor([[c == "#" for c in line.strip()] for line in picture.strip().splitlines()])[None]


@pytest.mark.parametrize(
    ("mask", "expected"),
    [
        (
            SQUARE,
            """
            .####.
            ######
            ##..##
            ##..##
            ######
            .####.""",
        ),
        (
            HOLE,
            """
            ..#..
            .#.#.
            ..#..""",
        ),
        (
            CORNER,
            """
            ..##
            ###.
            ##..
            ....""",
        ),
    ],
)
def test_gradient_by_hand(mask: str, expected: str) -> None:
    assert torch.equal(edge_maps.gradient(bits(mask).byte()), bits(expected))


def test_the_released_edge_maps(shared_data: Path) -> None:
    folder = shared_data / "covid-semiseg" / "TrainingSet" / "LungInfection-Train" / "Doctor-label"
    different = []
    for path in sorted((folder / "GT").iterdir()):
        mask = torch.from_numpy(np.array(Image.open(path)) > 127)[None]
        released = np.array(Image.open(folder / "Edge" / path.name)) > 0
        if not np.array_equal(edge_maps.gradient(mask)[0].numpy(), released):
            different.append(path.name)
    assert different == []


def test_edge_loss_by_hand() -> None:
    """A column of two pixels beside an edge of ln 3 (3/4), the third column far from it: -ln 3/4, and -ln 1/4 there."""
    outputs = {"edge": torch.full((1, 1, 1, 3), math.log(3))}
    target = torch.tensor([[[1, 0, 0]]], dtype=torch.uint8)
    assert edge(outputs, target).item() == pytest.approx((2 * math.log(4 / 3) + math.log(4)) / 3, abs=1e-6)


def test_edge_loss_needs_an_edge_map() -> None:
    with pytest.raises(
        UserError, match=r"losses\.edge: this network returns no edge map; switch the loss off \(null\)"
    ):
        edge({"logits": torch.zeros(1, 1, 2, 2)}, torch.zeros(1, 2, 2, dtype=torch.uint8))
