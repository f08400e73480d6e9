"""SCOAT-Net; counted on the authors' file: 10,208,723 parameters with one input channel, 10,209,363 with three.

At the text's widths 40,790,931 (38.90 M of 2^20; the paper prints 39.08 M). By pencil: the six spatial modules
1,336,978, since one from c channels has 3cc + 7c + 3; the six channel modules' layers 602,112, 2 (m / 16) m for m
channels together.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import nn

from covidseg import nets
from covidseg.nets.scoatnet import Attention, Residual
from tests.nets.base import NetTest, picture

RELEASED = {"name": "scoatnet", "width": 0.5, "relu": "after", "shortcut": "reweighted"}


class TestDescribed(NetTest):
    NET: ClassVar = {"name": "scoatnet"}
    PARAMETERS: ClassVar = {(1, 1): 40_790_931, (3, 1): 40_792_211}
    LOGITS: ClassVar = [1.3189, 1.6616, 0.4012, 1.3211]


class TestReleased(NetTest):
    NET: ClassVar = RELEASED
    PARAMETERS: ClassVar = {(1, 1): 10_208_723, (3, 1): 10_209_363}
    LOGITS: ClassVar = [1.2618, 1.1211, 1.2746, 1.8886]


def test_parameters_of_the_attention_modules() -> None:
    with torch.device("meta"):
        net = nets.build({"name": "scoatnet"}, 1, 1)
    nodes = [module for module in net.modules() if isinstance(module, Attention)]
    assert len(nodes) == 6
    assert sum(p.numel() for node in nodes for p in node.spatial.parameters()) == 1_336_978
    assert sum(p.numel() for node in nodes for p in node.channel.parameters()) == 602_112


def test_attention_maps_by_node() -> None:
    maps = nets.build({"name": "scoatnet", "width": 0.125}, 1, 1)(picture(1, (33, 47)))["attention"]
    assert {name: tuple(m.shape) for name, m in maps.items()} == {
        "1_1": (2, 1, 24, 24),
        "2_1": (2, 1, 12, 12),
        "3_1": (2, 1, 6, 6),
        "1_2": (2, 1, 24, 24),
        "2_2": (2, 1, 12, 12),
        "1_3": (2, 1, 24, 24),
    }
    assert all(m.min() >= 0 and m.max() <= 1 for m in maps.values())


def joined(bias: float, **options: Any) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return what one node's convolutions and shortcut see, and the map from below; its own map is shut or open."""
    torch.manual_seed(0)
    node = Attention(12, 4, 8, options.get("after", False), options.get("reweighted", False)).eval()
    seen: dict[str, torch.Tensor] = {}
    node.block.first.register_forward_pre_hook(lambda _, given: seen.update(convolutions=given[0].clone()))
    node.block.shortcut.register_forward_pre_hook(lambda _, given: seen.update(shortcut=given[0].clone()))
    norm = node.spatial.map[1]
    assert isinstance(norm, nn.BatchNorm2d)
    below = torch.rand(2, 8, 6, 6)
    with torch.no_grad():
        norm.weight.zero_()
        norm.bias.fill_(bias)
        node([torch.rand(2, 4, 6, 6)], below)
    return seen["convolutions"], seen["shortcut"], below


def test_a_shut_map_passes_what_comes_from_below_and_an_open_one_doubles_it() -> None:
    for bias, times in ((-200.0, 1), (200.0, 2)):
        _, shortcut, below = joined(bias)
        assert torch.equal(shortcut[:, 4:], times * below)


def test_the_released_shortcut_sees_the_reweighted_channels() -> None:
    convolutions, shortcut, _ = joined(0, reweighted=True)
    assert torch.equal(shortcut, convolutions)
    convolutions, shortcut, _ = joined(0)
    weights = convolutions / shortcut
    assert torch.allclose(weights, weights[:, :, :1, :1].expand_as(weights))  # one weight a channel
    assert weights.min() > 0
    assert weights.max() < 1


def test_relu_before_or_after_the_sum() -> None:
    for after, expected in ((True, 0.0), (False, 2.0)):
        block = Residual(1, 1, after).eval()
        with torch.no_grad():
            for layers, value in ((block.second, -3.0), (block.shortcut, 2.0)):
                norm = layers[-1]
                assert isinstance(norm, nn.BatchNorm2d)
                norm.weight.zero_()
                norm.bias.fill_(value)
            assert block(torch.rand(1, 1, 3, 3)).unique().tolist() == [expected]
