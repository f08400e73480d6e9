"""The plain U-Net; 31,037,698 is the count of the widely used implementation (milesial/Pytorch-UNet, 3 in, 2 out)."""

from __future__ import annotations

from typing import ClassVar

from tests.nets.base import NetTest


class TestUNet(NetTest):
    NET: ClassVar = {"name": "unet"}
    PARAMETERS: ClassVar = {(3, 2): 31_037_698, (1, 1): 31_036_481}
    LOGITS: ClassVar = [0.3815, 0.2767, 0.6436, 0.5653]
