"""Inf-Net; the released network has 33,121,721 parameters, 2048 * 1000 + 1000 of them in a classifier it never uses."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import pytest
import torch
from torch import nn

from covidseg import nets
from covidseg.nets.infnet import PartialDecoder, ReverseAttention, background
from tests.nets.base import NetTest, picture

BACKBONE = {"name": "infnet", "ppd": False, "reverse_attention": False, "edge_attention": False}


class TestInfNet(NetTest):
    NET: ClassVar = {"name": "infnet"}
    CHANNELS: ClassVar = (1, 1)
    PARAMETERS: ClassVar = {(1, 1): 33_121_721 - 2_049_000, (3, 1): 33_121_721 - 2_049_000}
    LOGITS: ClassVar = [-1.3625, -3.1461, -1.9779, 0.8827]


class TestResNet(NetTest):
    NET: ClassVar = {"name": "infnet", "encoder": "resnet50"}
    CHANNELS: ClassVar = (1, 1)
    PARAMETERS: ClassVar = {(1, 1): 30_911_401}
    LOGITS: ClassVar = [1.0246, 0.6856, -0.1156, -0.6208]


class TestVGG(NetTest):
    NET: ClassVar = {"name": "infnet", "encoder": "vgg16"}
    CHANNELS: ClassVar = (1, 1)
    PARAMETERS: ClassVar = {(1, 1): 21_298_857}
    LOGITS: ClassVar = [0.6918, 0.9502, 1.9901, 1.0036]


class TestBackbone(NetTest):
    """The encoder, and 2048 weights and a bias."""

    NET: ClassVar = BACKBONE
    CHANNELS: ClassVar = (2, 1)
    PARAMETERS: ClassVar = {(3, 1): 23_669_352 + 2_049, (2, 1): 23_669_352 + 2_049 - 32 * 9}
    LOGITS: ClassVar = [0.0684, 0.0710, 0.1540, 0.2344]


@pytest.mark.parametrize(
    ("parts", "side", "edge"),
    [
        ({}, 0, False),
        ({"ppd": True}, 0, False),
        ({"reverse_attention": True}, 3, False),
        ({"ppd": True, "reverse_attention": True}, 3, False),
        ({"ppd": True, "reverse_attention": True, "edge_attention": True}, 3, True),
        ({"ppd": True, "edge_attention": True}, 0, True),
    ],
)
def test_parts_and_what_they_return(parts: dict[str, Any], side: int, edge: bool) -> None:
    outputs = nets.build(BACKBONE | parts | {"width": 0.125}, 1, 1)(picture(1, (40, 70)))
    assert {tuple(m.shape) for m in (outputs["logits"], *outputs["side"])} == {(2, 1, 40, 70)}
    assert len(outputs["side"]) == side
    assert ("edge" in outputs) == edge
    assert not edge or outputs["edge"].shape == (2, 1, 40, 70)


def test_a_single_channel_is_seen_as_an_imagenet_picture() -> None:
    torch.manual_seed(0)
    net = nets.build({"name": "infnet", "width": 0.125}, 1, 1).eval()
    other = nets.build({"name": "infnet", "width": 0.125}, 3, 1).eval()
    other.load_state_dict(net.state_dict())
    x = picture(1)
    by_hand = torch.cat(((x - 0.485) / 0.229, (x - 0.456) / 0.224, (x - 0.406) / 0.225), 1)
    with torch.no_grad():
        torch.testing.assert_close(net(x)["logits"], other(by_hand)["logits"])


def test_maps_of_several_classes() -> None:
    outputs = nets.build({"name": "infnet", "width": 0.125}, 1, 3)(picture(1, (40, 70)))
    assert {tuple(m.shape) for m in (outputs["logits"], *outputs["side"])} == {(2, 3, 40, 70)}
    assert outputs["edge"].shape == (2, 1, 40, 70)


def test_reverse_attention_weighs_by_background() -> None:
    """By a sigmoid 1/4 of ln 3 is background; by a softmax of background 0, and classes 0 and ln 2, also 1/4."""
    assert background(torch.full((1, 1, 1, 1), math.log(3))).item() == pytest.approx(0.25)
    assert background(torch.tensor([0, 0, math.log(2)]).view(1, 3, 1, 1)).item() == pytest.approx(0.25)


def as_is(net: nn.Module) -> nn.Module:
    """Make each convolution hand on what it gets: channel i to channel i, middle tap 1, statistics of nothing."""
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.dirac_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    return net.eval()


def test_reverse_attention_by_hand() -> None:
    """Logits of ln 3 are 3/4: a quarter of the feature, 8, is looked at again; -ln 3 leave three quarters."""
    net = as_is(ReverseAttention(1, 1, 0, kernels=(1,)))
    coarser = torch.tensor([math.log(3), -math.log(3)]).view(1, 1, 1, 2)
    found = net(torch.full((1, 1, 1, 2), 8.0), coarser, None)
    assert found.flatten().tolist() == pytest.approx([2 + math.log(3), 6 - math.log(3)], rel=1e-4)


def test_reverse_attention_joins_the_guidance() -> None:
    """Guidance of (0, 4, 4, 8) shrinks to its mean, 4; it counts half here, and ReLU comes before the last one."""
    net = as_is(ReverseAttention(1, 1, 1, kernels=(1, 1)))
    net.inner[0][0].weight.data = torch.tensor([1.0, 0.5]).view(1, 2, 1, 1)
    guidance = torch.tensor([0.0, 4.0, 4.0, 8.0]).view(1, 1, 2, 2)
    feature, coarser = torch.tensor([8.0]).view(1, 1, 1, 1), torch.zeros(1, 1, 1, 1)
    assert net(feature, coarser, guidance).item() == pytest.approx(8 / 2 + 4 / 2, rel=1e-4)
    assert net(-feature, coarser, guidance).item() == pytest.approx(0, abs=1e-6)


def test_partial_decoder_by_hand() -> None:
    """f5 = 2, f4 = 3, f3 = 5: products 2 * 3 * 5 and 2 * 3, and f5 itself, read out as hundreds, tens and ones."""
    net = as_is(PartialDecoder((1, 1, 1), 1))
    net.reduce = nn.ModuleList(nn.Identity() for _ in range(3))
    net.head[1].weight.data = torch.tensor([100.0, 10.0, 1.0]).view(1, 3, 1, 1)
    maps = [torch.full((1, 1, size, size), value) for size, value in ((4, 5.0), (2, 3.0), (1, 2.0))]
    assert net(maps).flatten().tolist() == pytest.approx([100 * 30 + 10 * 6 + 2] * 16, rel=1e-4)
