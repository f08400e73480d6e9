"""The attention fusion network. Counts by pencil, S(i, o) = 9 i + 2 i + i o + 2 o a separable convolution:

baseline 1,008,810 = encoder 543,467, channel attention 11,390, decoder 174,080 + 960 + 278,880, head 33; FE adds
307,102; RC adds a bottleneck's 12 C^2 + 80 C for 4, 3, 2, 1 of C = 32, 64, 128, 256: 1,442,816; MDPPM 1,062,400.
"""

from __future__ import annotations

from typing import ClassVar

import pytest
import torch

from covidseg import nets
from covidseg.nets.attnfusion import SpatialAttention, separable
from tests.nets.base import NetTest

SMALL_SUM = (
    4 * (12 * 32**2 + 80 * 32) + 3 * (12 * 64**2 + 80 * 64) + 2 * (12 * 128**2 + 80 * 128) + 12 * 256**2 + 20_480
)


class TestAttnFusion(NetTest):
    NET: ClassVar = {"name": "attnfusion"}
    PARAMETERS: ClassVar = {(1, 1): 3_821_128}
    LOGITS: ClassVar = [0.1334, -0.0978, -0.2666, 0.2184]


class TestBaseline(NetTest):
    NET: ClassVar = {"name": "attnfusion", "fe": False, "rc": False, "context": "none"}
    PARAMETERS: ClassVar = {(1, 1): 1_008_810}
    LOGITS: ClassVar = [-0.2855, 0.0008, -0.0768, -0.0768]


@pytest.mark.parametrize(
    ("options", "count"),
    [
        ({"rc": False, "context": "none"}, 1_315_912),
        ({"context": "none"}, 2_758_728),
        ({"context": "aspp"}, 5_403_208),
        ({"context": "none", "fe": False}, 1_008_810 + SMALL_SUM),
        ({"fe": False, "rc": False, "context": "none", "se": False}, 1_008_810 - 11_390),
    ],
)
def test_each_part_is_a_switch(options: dict[str, object], count: int) -> None:
    assert nets.count({"name": "attnfusion", **options}, 1, 1) == count


def test_the_full_network_has_an_eighth_of_a_unets_parameters() -> None:
    assert nets.count({"name": "unet"}, 1, 1) / nets.count({"name": "attnfusion"}, 1, 1) == pytest.approx(
        8.12, abs=0.01
    )


def test_a_separable_convolution_costs_one_ninth_and_one_over_the_channels() -> None:
    """9 c + c o weights in place of 9 c o: 1/o + 1/9 of them."""
    kernels = [m.weight.numel() for m in separable(16, 32) if isinstance(m, torch.nn.Conv2d)]
    assert kernels == [144, 512]
    assert sum(kernels) / (9 * 16 * 32) == pytest.approx(1 / 32 + 1 / 9)


def test_spatial_attention_weighs_places() -> None:
    attention = SpatialAttention()
    torch.nn.init.zeros_(attention.conv.weight)
    x = torch.arange(8.0).view(1, 2, 2, 2)
    assert torch.equal(attention(x), x / 2)  # the sigmoid of 0


def test_a_single_small_slice_can_be_learned() -> None:
    net = nets.build({"name": "attnfusion", "width": 0.125}, 1, 1).train()
    net(torch.rand(1, 1, 32, 32))["logits"].square().mean().backward()
    assert all(torch.isfinite(p.grad).all() for p in net.parameters() if p.grad is not None)
