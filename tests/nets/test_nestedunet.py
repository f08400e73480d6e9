"""The nested U-Net of SCOAT-Net's table III: 36,628,993 parameters (34.93 M of 2^20; the paper prints 35.02 M).

By pencil: a block from i to c channels has 9ic + 9cc + 6c. Table III prints +18.41 M for residual attention, +2.61 M
for gates and +0.03 M for pyramid attention. Per node of c channels, residual attention has two units of 19cc + 9c and
two 1x1 convolutions, 2cc + 4c; a gate from the 2c below 3cc + 7c + 3; pyramid attention three times 9c + 1.
"""

from __future__ import annotations

from typing import ClassVar

import pytest
import torch

from covidseg import nets
from covidseg.base.errors import UserError
from covidseg.nets.attention import PyramidAttention, ResidualAttention
from tests.nets.base import NetTest

PLAIN = 36_628_993
NODES = (128, 128, 128, 256, 256, 512)
SKIPS = (128,) * 6 + (256,) * 3 + (512,)


class TestPlain(NetTest):
    NET: ClassVar = {"name": "nestedunet"}
    PARAMETERS: ClassVar = {(1, 1): PLAIN, (3, 2): PLAIN + 2 * 9 * 64 + 9 * 64 + 1}
    LOGITS: ClassVar = [-0.2858, -0.6444, -0.5522, -1.5228]

    def test_half_the_width(self) -> None:
        assert nets.count({"name": "nestedunet", "width": 0.5}, 1, 1) == 9_163_009


class TestResidual(NetTest):
    NET: ClassVar = {"name": "nestedunet", "attention": "residual"}
    PARAMETERS: ClassVar = {(1, 1): PLAIN + sum(40 * c * c + 22 * c for c in NODES)}
    LOGITS: ClassVar = [-0.7230, 0.5454, 0.4866, -0.7491]


class TestGate(NetTest):
    NET: ClassVar = {"name": "nestedunet", "attention": "gate"}
    PARAMETERS: ClassVar = {(1, 1): PLAIN + sum(3 * c * c + 7 * c + 3 for c in SKIPS)}
    LOGITS: ClassVar = [-1.4111, 0.0759, -0.2978, -0.0843]


class TestPyramid(NetTest):
    NET: ClassVar = {"name": "nestedunet", "attention": "pyramid"}
    PARAMETERS: ClassVar = {(1, 1): PLAIN + sum(3 * (9 * c + 1) for c in NODES)}
    LOGITS: ClassVar = [0.0700, 1.9708, -0.1820, 0.6902]


def test_an_unknown_attention_is_refused() -> None:
    with pytest.raises(UserError, match=r"v1\.net\.attention: unknown value 'gates'; did you mean 'gate'\?"):
        nets.check({"name": "nestedunet", "attention": "gates"}, "v1")


@pytest.mark.parametrize("module", [ResidualAttention, PyramidAttention])
@pytest.mark.parametrize("size", [(1, 1), (2, 3), (5, 8)])
def test_a_shut_map_changes_nothing_and_an_open_one_doubles(module: type, size: tuple[int, int]) -> None:
    attention, x = module(4).eval(), torch.rand(2, 4, *size) + 1
    last = attention.map[1] if module is ResidualAttention else None
    for bias, times in ((-200.0, 1), (200.0, 2)):
        with torch.no_grad():
            for conv in [last] if last is not None else attention.maps:
                conv.weight.zero_()
                conv.bias.fill_(bias)
            weighted, m = attention(x)
        torch.testing.assert_close(weighted, times * x)
        assert torch.equal(m, torch.full((2, 1, *size), times - 1.0))
