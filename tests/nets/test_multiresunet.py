"""MultiResUNet. For three channels and one class the paper prints 7,262,750 parameters, as Keras counts its code."""

from __future__ import annotations

from typing import ClassVar

from torch import nn

from covidseg import nets
from covidseg.nets.multiresunet import MultiRes
from tests.nets.base import NetTest


class TestMultiResUNet(NetTest):
    NET: ClassVar = {"name": "multiresunet"}
    PARAMETERS: ClassVar = {(3, 1): 7_244_774, (1, 1): 7_244_774 - 2 * (9 * 8 + 51)}
    LOGITS: ClassVar = [-0.1772, -1.3446, -0.1169, -0.662]


def test_channels_of_a_block() -> None:
    """32 x 1.67 = 53.44: 8 + 17 + 26 channels, as in the released code."""
    block = MultiRes(1, 32)
    assert [row[0][0].out_channels for row in block.row] == [8, 17, 26]  # type: ignore[index,union-attr]
    assert block.channels == 51


def test_the_published_count_comes_out_of_the_same_layers() -> None:
    """Keras counts a normalisation's two running statistics, and most of the release's have no scale: 3 a channel in
    place of our 2; those after a sum or a join have 4. The release has a normalisation (3) in place of the head's bias.
    """
    net = nets.build({"name": "multiresunet"}, 3, 1)
    behind = {name for name, _ in net.named_modules() if name.endswith(("joined", "out")) or ".norms." in name}
    norms = {name: m.num_features for name, m in net.named_modules() if isinstance(m, nn.BatchNorm2d)}
    more = sum(channels * (2 if name in behind else 1) for name, channels in norms.items())
    assert nets.count({"name": "multiresunet"}, 3, 1) + more - 1 + 3 == 7_262_750
