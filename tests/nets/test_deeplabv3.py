"""DeepLabV3; torchvision's deeplabv3_resnet50 without auxiliary head has 39,638,869 parameters for 21 classes.

By pencil: ResNet-50 23,508,032; pyramid 2 x 524,800 (1x1 from 2048 to 256, normalised), 3 x 4,719,104 (3x3), 328,192
(1280 to 256); a 3x3 convolution 590,336; 257 for each class.
"""

from __future__ import annotations

from typing import ClassVar

import torch

from covidseg import nets
from tests.nets.base import NetTest, picture

BY_PENCIL = 23_508_032 + 2 * 524_800 + 3 * 4_719_104 + 328_192 + 590_336 + 257


class TestStride16(NetTest):
    NET: ClassVar = {"name": "deeplabv3"}
    PARAMETERS: ClassVar = {(3, 21): 39_638_869, (1, 1): BY_PENCIL, (2, 3): BY_PENCIL - 64 * 49 + 2 * 257}
    LOGITS: ClassVar = [-0.3761, -0.1328, 0.2426, 0.4157]


class TestStride8(NetTest):
    NET: ClassVar = {"name": "deeplabv3", "output_stride": 8}
    PARAMETERS: ClassVar = {(3, 21): 39_638_869}
    LOGITS: ClassVar = [-0.0789, -0.0266, -0.0435, -0.0834]


def test_rates_follow_the_stride_unless_given() -> None:
    def rates(**options: object) -> list[int]:
        net = nets.build({"name": "deeplabv3", "width": 0.125, **options}, 1, 1)
        return [branch[0].dilation[0] for branch in net.pyramid.dilated]  # type: ignore[union-attr,index]

    assert rates() == [6, 12, 18]
    assert rates(output_stride=8) == [12, 24, 36]
    assert rates(rates=[1, 2, 3]) == [1, 2, 3]


def test_a_single_slice_can_be_learned() -> None:
    net = nets.build({"name": "deeplabv3", "width": 0.125}, 1, 1).train()
    net(picture(1, (64, 64))[:1])["logits"].square().mean().backward()
    assert all(torch.isfinite(p.grad).all() for p in net.parameters())
