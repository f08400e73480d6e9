from __future__ import annotations

from typing import Any, ClassVar

import torch

from covidseg.nets.manet import PositionAttention
from tests.nets.base import NetTest


class TestMANet(NetTest):
    """147,439,993 is what segmentation-models-pytorch's MAnet has with resnet50."""

    NET: ClassVar[dict[str, Any]] = {"name": "manet"}
    CHANNELS: ClassVar[tuple[int, int]] = (1, 3)
    PARAMETERS: ClassVar = {(3, 1): 147_439_993}
    LOGITS: ClassVar = [-0.1890, 0.6303, -0.0752, -0.0510]


def test_positions_without_likeness_all_get_the_mean() -> None:
    """Queries of zero weigh all four positions alike: their mean, 2.5, is added to each position's own value."""
    block = PositionAttention(1, 1)
    with torch.no_grad():
        for parameter in block.parameters():
            parameter.zero_()
        block.value.weight[0, 0, 1, 1] = block.out.weight[0, 0, 1, 1] = 1
        out = block(torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]]))
    assert out.flatten().tolist() == [3.5, 4.5, 5.5, 6.5]
