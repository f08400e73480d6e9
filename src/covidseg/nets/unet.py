"""The plain 2-D U-Net."""

from __future__ import annotations

from torch import nn

from covidseg.nets.layers import conv_bn_relu
from covidseg.nets.ushape import UShape

PLANNING = {"weights_mib": 118, "kept_bytes": 5250, "forward_bytes": 1410, "stride": 16, "encoder": None}


class UNet(UShape):
    """U-Net (Ronneberger et al., MICCAI 2015, figure 1), with padding and batch normalisation.

    In: (N, in_channels, H, W), any size. Out: ``logits`` (N, out_channels, H, W). Five levels of 64 to 1024 channels
    times ``width``, two 3x3 convolutions each, max pooling down, 2x2 transposed convolution up, concatenated skips.
    The paper has no batch normalisation and unpadded convolutions; both changes are what later work calls U-Net.
    Sizes that 16 does not divide are padded inside.
    """

    def __init__(self, in_channels: int, out_channels: int, *, width: float = 1.0) -> None:
        super().__init__(in_channels, out_channels, width, _double, lambda i, o: nn.ConvTranspose2d(i, o, 2, 2))


def _double(in_channels: int, out_channels: int) -> nn.Sequential:
    return nn.Sequential(conv_bn_relu(in_channels, out_channels, 3), conv_bn_relu(out_channels, out_channels, 3))
