"""The plain 2-D U-Net."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from covidseg.nets.layers import conv_bn_relu, pad_to, scaled

PLANNING = {"weights_mib": 118, "kept_bytes": 5250, "forward_bytes": 1410, "stride": 16, "encoder": None}


class UNet(nn.Module):
    """U-Net (Ronneberger et al., MICCAI 2015, figure 1), with padding and batch normalisation.

    In: (N, in_channels, H, W), any size. Out: ``logits`` (N, out_channels, H, W). Five levels of 64 to 1024 channels
    times ``width``, two 3x3 convolutions each, max pooling down, 2x2 transposed convolution up, concatenated skips.
    The paper has no batch normalisation and unpadded convolutions; both changes are what later work calls U-Net.
    Sizes that 16 does not divide are padded inside.
    """

    def __init__(self, in_channels: int, out_channels: int, *, width: float = 1.0) -> None:
        super().__init__()
        sizes = [scaled(c, width) for c in (64, 128, 256, 512, 1024)]
        self.down = nn.ModuleList(_double(i, o) for i, o in zip([in_channels, *sizes], sizes, strict=False))
        self.pool = nn.MaxPool2d(2)
        pairs = list(zip(sizes[:0:-1], sizes[-2::-1], strict=True))
        self.up = nn.ModuleList(nn.ConvTranspose2d(i, o, 2, 2) for i, o in pairs)
        self.join = nn.ModuleList(_double(2 * o, o) for _, o in pairs)
        self.head = nn.Conv2d(sizes[0], out_channels, 1)

    def forward(self, x_NCHW: Tensor) -> dict[str, Tensor]:
        """Return ``logits``."""
        H, W = x_NCHW.shape[2:]
        x = self.down[0](pad_to(x_NCHW, 16))
        skips = []
        for level in list(self.down)[1:]:
            skips.append(x)
            x = level(self.pool(x))
        for up, join in zip(self.up, self.join, strict=True):
            x = join(torch.cat((skips.pop(), up(x)), 1))
        return {"logits": self.head(x)[:, :, :H, :W]}


def _double(in_channels: int, out_channels: int) -> nn.Sequential:
    return nn.Sequential(conv_bn_relu(in_channels, out_channels, 3), conv_bn_relu(out_channels, out_channels, 3))
