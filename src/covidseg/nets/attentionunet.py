"""Attention U-Net: a U-Net whose skips pass attention gates."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from covidseg.nets.attention import AttentionGate
from covidseg.nets.grid import double
from covidseg.nets.layers import conv_bn_relu, pad_to, scaled

PLANNING = {"weights_mib": 133, "kept_bytes": 7950, "forward_bytes": 1810, "stride": 16, "encoder": None}


class AttentionUNet(nn.Module):
    """Attention U-Net (Oktay et al., MIDL 2018, figure 1), in 2-D.

    In: (N, in_channels, H, W), any size. Out: ``logits`` (N, out_channels, H, W), and ``attention``, the gates' maps
    by the row of the skip (``3`` the deepest), each (N, 1, h, w) in 0..1. Five levels of 64 to 1024 channels times
    ``width``, two 3x3 convolutions with batch normalisation each. A level is enlarged (nearest neighbour and a 3x3
    convolution) and opens the gate of the skip, whose inner width is half of its channels; gated skip and enlarged
    map are joined. With three channels in and one out it has the 34,878,573 parameters of the widely used PyTorch
    version, whose gates, unlike the paper's, work at the skip's size. No deep supervision. Sizes that 16 does not
    divide are padded inside.
    """

    def __init__(self, in_channels: int, out_channels: int, *, width: float = 1.0) -> None:
        super().__init__()
        sizes = [scaled(c, width) for c in (64, 128, 256, 512, 1024)]
        self.down = nn.ModuleList(double(i, o) for i, o in zip([in_channels, *sizes], sizes, strict=False))
        self.pool = nn.MaxPool2d(2)
        pairs = list(zip(sizes[:0:-1], sizes[-2::-1], strict=True))
        self.up = nn.ModuleList(
            nn.Sequential(nn.Upsample(scale_factor=2), conv_bn_relu(i, o, 3, bias=True)) for i, o in pairs
        )
        self.gates = nn.ModuleList(AttentionGate(o, o, o // 2) for _, o in pairs)
        self.join = nn.ModuleList(double(2 * o, o) for _, o in pairs)
        self.head = nn.Conv2d(sizes[0], out_channels, 1)

    def forward(self, x_NCHW: Tensor) -> dict[str, Any]:
        """Return ``logits`` and ``attention``."""
        H, W = x_NCHW.shape[2:]
        x = self.down[0](pad_to(x_NCHW, 16))
        skips = []
        for level in list(self.down)[1:]:
            skips.append(x)
            x = level(self.pool(x))
        maps = {}
        for up, gate, join in zip(self.up, self.gates, self.join, strict=True):
            x, skip = up(x), skips.pop()
            maps[str(len(skips))] = attention = gate(skip, x)
            x = join(torch.cat((attention * skip, x), 1))
        return {"logits": self.head(x)[:, :, :H, :W], "attention": maps}
