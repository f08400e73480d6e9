"""SSA-Net, as described and as released; 31,095,809 is the count of the authors' network (one channel in and out)."""

from __future__ import annotations

from typing import ClassVar

import pytest
import torch

from covidseg import nets
from tests.nets.base import NetTest, picture


class TestDescribed(NetTest):
    NET: ClassVar = {"name": "ssanet"}
    PARAMETERS: ClassVar = {(2, 1): 31_120_449, (2, 3): 31_121_027}
    LOGITS: ClassVar = [-0.2184, -0.1483, -0.1863, -0.1651]


class TestReleased(NetTest):
    NET: ClassVar = {"name": "ssanet", "skip": "add"}
    PARAMETERS: ClassVar = {(1, 1): 31_095_809}
    LOGITS: ClassVar = [0.0100, 0.0869, 0.0293, 0.0617]


class TestBackbone(NetTest):
    NET: ClassVar = {"name": "ssanet", "skip": "add", "spatial_conv": False}
    PARAMETERS: ClassVar = {(1, 1): 31_095_809 - 4 * 512 * 512 * 9}
    LOGITS: ClassVar = [-0.0625, -0.0638, -0.0572, -0.2895]


@pytest.mark.parametrize("skip", ["add", "concat"])
def test_features_are_the_encoder_maps_at_a_quarter_and_below(skip: str) -> None:
    net = nets.build({"name": "ssanet", "width": 0.25, "skip": skip}, 2, 1)
    shapes = [tuple(f.shape[1:]) for f in net(picture(2, (64, 96)))["features"]]
    assert shapes == [(16, 16, 24), (32, 8, 12), (64, 4, 6), (128, 2, 3)]


def test_spatial_convolution_of_zeros_changes_nothing() -> None:
    torch.manual_seed(0)
    net = nets.build({"name": "ssanet", "width": 0.125}, 1, 1)
    plain = nets.build({"name": "ssanet", "width": 0.125, "spatial_conv": False}, 1, 1)
    plain.load_state_dict({k: v for k, v in net.state_dict().items() if not k.startswith("spatial")})
    with torch.no_grad():
        x = picture(1, (64, 64))
        assert not torch.equal(net(x)["logits"], plain(x)["logits"])
        for conv in net.spatial.passes:
            conv.weight.zero_()
        assert torch.equal(net(x)["logits"], plain(x)["logits"])
