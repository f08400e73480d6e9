"""What networks that say one thing of a whole slice share: an encoder, whose normalisation may be frozen."""

from __future__ import annotations

from typing import Self

from torch import nn

from covidseg.nets.layers import ImagenetInput
from covidseg.nets.resnet import ResNet
from covidseg.nets.resnet38d import WideResNet38


class ImageLevel(nn.Module):
    """An encoder whose last map is 1/8 of its input: ResNet-38d or ResNet-50, its channels times ``width``.

    One channel of input becomes three with ImageNet's mean and deviation. From ImageNet's weights (``init``) all of its
    batch normalisation stays frozen: it learns no scale and shift, and uses its stored statistics in training too.
    """

    def __init__(self, in_channels: int, width: float, encoder: str, init: str) -> None:
        super().__init__()
        self.input = ImagenetInput(in_channels)
        self.encoder: ResNet | WideResNet38
        if encoder == "resnet38d":
            self.encoder = WideResNet38(self.input.channels, width)
        else:
            self.encoder = ResNet(self.input.channels, width, output_stride=8)
        self._frozen = (
            [m for m in self.encoder.modules() if isinstance(m, nn.BatchNorm2d)] if init == "imagenet" else []
        )
        for norm in self._frozen:
            norm.requires_grad_(False)

    def train(self, mode: bool = True) -> Self:
        """Switch to training; frozen normalisation stays as it is."""
        super().train(mode)
        for norm in self._frozen:
            norm.eval()
        return self
