"""Attention U-Net; the widely used PyTorch version has 34,878,573 parameters for three channels and one class.

By pencil: the U-Net's levels of 64 to 1024 channels have 18,849,984 with three channels in, blocks with biases; a gate
from c channels has c^2 + 3.5 c + 3; each enlargement from 2c to c 18c^2 + 3c, each join 27c^2 + 6c; the output 65.
"""

from __future__ import annotations

from typing import ClassVar

import torch

from covidseg import nets
from tests.nets.base import NetTest, picture

LEVELS = (512, 256, 128, 64)
DOWN = sum(9 * i * c + 9 * c * c + 6 * c for i, c in ((3, 64), (64, 128), (128, 256), (256, 512), (512, 1024)))
UP = sum((c * c + 3 * c + c // 2 + 3) + (18 * c * c + 3 * c) + (27 * c * c + 6 * c) for c in LEVELS)


class TestAttentionUNet(NetTest):
    NET: ClassVar = {"name": "attentionunet"}
    PARAMETERS: ClassVar = {(3, 1): 34_878_573, (2, 3): DOWN + UP + 65 - 9 * 64 + 2 * 65}
    LOGITS: ClassVar = [0.1514, 0.4848, 0.3305, 0.0681]


def test_a_closed_gate_lets_nothing_of_its_skip_pass() -> None:
    torch.manual_seed(0)
    net = nets.build({"name": "attentionunet", "width": 0.125}, 1, 1).eval()
    seen = {}
    net.get_submodule("join.3").register_forward_pre_hook(lambda _, given: seen.update(joined=given[0]))
    with torch.no_grad():
        net.get_submodule("gates.3.map.1").bias.fill_(-200)  # type: ignore[operator,union-attr]
        maps = net(picture(1))["attention"]
    assert {name: tuple(m.shape[1:]) for name, m in maps.items()} == {
        "3": (1, 4, 4),
        "2": (1, 8, 8),
        "1": (1, 16, 16),
        "0": (1, 32, 32),
    }
    assert maps["0"].max() == 0
    assert seen["joined"][:, :8].abs().max() == 0
    assert seen["joined"][:, 8:].abs().max() > 0
