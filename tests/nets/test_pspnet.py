"""PSPNet over ResNet-50: 46,583,363 parameters for three channels and three classes.

By pencil: ResNet-50 23,508,032; four bins of 1,049,600 (1x1 from 2048 to 512, normalised); a 3x3 convolution from 4096
to 512, 18,875,392; 513 for each class.
"""

from __future__ import annotations

from typing import ClassVar

import pytest
import torch

from covidseg import nets
from covidseg.base.errors import UserError
from covidseg.nets.pspnet import Bin
from tests.nets.base import NetTest, picture

BY_PENCIL = 23_508_032 + 4 * 1_049_600 + 18_875_392 + 513


class TestPSPNet(NetTest):
    NET: ClassVar = {"name": "pspnet"}
    SMALL: ClassVar = {"width": 0.125, "dropout": 0.0}  # what dropout draws is not the same on every machine
    PARAMETERS: ClassVar = {(3, 3): 46_583_363, (1, 1): BY_PENCIL, (2, 1): BY_PENCIL - 64 * 49}
    LOGITS: ClassVar = [0.2993, 0.2287, 0.2153, 0.3162]


def test_a_single_slice_can_be_learned() -> None:
    net = nets.build({"name": "pspnet", "width": 0.125}, 1, 1).train()
    net(picture(1, (64, 64))[:1])["logits"].square().mean().backward()
    assert all(torch.isfinite(p.grad).all() for p in net.parameters())


def test_a_bin_averages_its_part_of_the_map() -> None:
    x = torch.arange(36.0).view(1, 1, 6, 6)
    for size, corner in ((1, 17.5), (2, 7.0), (3, 3.5), (6, 0.0)):
        one = Bin(1, 1, size).eval()
        with torch.no_grad():
            one.conv.weight.fill_(1.0)  # type: ignore[union-attr,operator]
            assert abs(one(x)[0, 0, 0, 0].item() - corner) < 1e-3


def test_dropout_must_leave_something() -> None:
    with pytest.raises(UserError, match=r"net\.dropout: must be 0 or more and below 1 \(found 1\)"):
        nets.build({"name": "pspnet", "width": 0.125, "dropout": 1.0}, 1, 1)
