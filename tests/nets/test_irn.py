"""IRN. By pencil: ResNet-50 23,508,032 and the branches of figure 3.

Edges: 32 (64 + 256 + 512 + 1024 + 2048) + 5 x 64, then 160 + 1. Displacement: 64 x 64 + 128 x 256 + 256 (512 + 1024 +
2048) and 2 (64 + 128 + 3 x 256), then 768 x 256 + 512, 448 x 256 + 512 and 256 x 2.
"""

from __future__ import annotations

from typing import ClassVar

import torch

from covidseg import nets
from tests.nets.base import NetTest, picture

EDGES = 32 * 3_904 + 320 + 161
DISPLACEMENT = 4_096 + 32_768 + 256 * 3_584 + 1_920 + 197_120 + 115_200 + 512


class TestIRN(NetTest):
    NET: ClassVar = {"name": "irn", "init": "random"}
    CHANNELS: ClassVar = (1, 1)
    PARAMETERS: ClassVar = {(1, 1): 23_508_032 + EDGES + DISPLACEMENT}
    LOGITS: ClassVar = [-0.1796, -0.2906, 0.0361, 0.039]


def test_from_imagenets_weights_only_the_branches_learn() -> None:
    assert nets.count({"name": "irn"}, 1, 1) == EDGES + DISPLACEMENT


def test_edges_have_a_quarter_of_the_size() -> None:
    outputs = nets.build({"name": "irn", "width": 0.125, "init": "random"}, 1, 1)(picture(1, (64, 48)))
    assert outputs["edge"].shape == (2, 1, 16, 12)
    assert outputs["displacement"].shape == (2, 2, 16, 12)
    assert torch.isfinite(outputs["logits"]).all()
