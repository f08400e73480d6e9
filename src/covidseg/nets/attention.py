"""Attention modules that networks share: gates on skips, residual attention and pyramid attention."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from covidseg.nets.layers import conv_bn_relu

SCALES = (1, 2, 4)  # of pyramid attention: how many times smaller the map is when it is looked at


class AttentionGate(nn.Module):
    """Additive attention gate (Oktay et al., MIDL 2018, figure 2, eqs. 1 and 2), with both inputs at one size.

    m = sigmoid(BN(1x1 to one channel of relu(BN(1x1 x) + BN(1x1 g)))), ``inner`` channels between. Batch
    normalisation and equal sizes are those of the widely used PyTorch version; the paper reads x at g's coarser size.
    """

    def __init__(self, channels: int, gating: int, inner: int) -> None:
        super().__init__()
        self.skip = nn.Sequential(nn.Conv2d(channels, inner, 1), nn.BatchNorm2d(inner))
        self.gate = nn.Sequential(nn.Conv2d(gating, inner, 1), nn.BatchNorm2d(inner))
        self.map = nn.Sequential(nn.Conv2d(inner, 1, 1), nn.BatchNorm2d(1), nn.Sigmoid())

    def forward(self, x: Tensor, g: Tensor) -> Tensor:
        """Return the map m (N, 1, h, w) by which x (N, channels, h, w) is to be multiplied; g: (N, gating, h, w)."""
        return self.map((self.skip(x) + self.gate(g)).relu_())  # type: ignore[no-any-return]


class ResidualAttention(nn.Module):
    """Attention residual learning (Wang et al., CVPR 2017, section 3.1): out = (1 + M(x)) x.

    The soft mask M goes down and up again: max pooling, a residual unit, max pooling, a residual unit, bilinear
    enlargement, the first unit's map added, enlargement, two 1x1 convolutions, sigmoid. The paper's mask has more
    units (r = 1 and 2); how SCOAT-Net's authors built theirs is not stated.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.outer, self.inner = Unit(channels), Unit(channels)
        self.map = nn.Sequential(
            conv_bn_relu(channels, channels, 1, bias=True), nn.Conv2d(channels, channels, 1), nn.Sigmoid()
        )

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return x (N, C, h, w) weighted, and the mask's mean over channels (N, 1, h, w)."""
        half = self.outer(F.max_pool2d(x, 2, ceil_mode=True))
        quarter = self.inner(F.max_pool2d(half, 2, ceil_mode=True))
        mask = self.map(_resize(half + _resize(quarter, half), x))
        return (1 + mask) * x, mask.mean(1, keepdim=True)


class Unit(nn.Module):
    """A residual unit: two 3x3 convolutions and a projected shortcut, ReLU after the sum."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = conv_bn_relu(channels, channels, 3, bias=True)
        self.second = nn.Sequential(nn.Conv2d(channels, channels, 3, padding=1), nn.BatchNorm2d(channels))
        self.shortcut = nn.Sequential(nn.Conv2d(channels, channels, 1), nn.BatchNorm2d(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Return relu(convolutions(x) + shortcut(x))."""
        return (self.second(self.first(x)) + self.shortcut(x)).relu_()  # type: ignore[no-any-return]


class PyramidAttention(nn.Module):
    """Pyramid attention (Wang et al., CVPR 2019, section 3.2): out = x times the mean over scales of 1 + l_n(x).

    At each scale the averaged map passes a 3x3 convolution to one channel, is enlarged bilinearly and becomes a map
    l_n between 0 and 1. The paper normalises over positions; a sigmoid is used here, so that a map's size does not
    decide its strength.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.maps = nn.ModuleList(nn.Conv2d(channels, 1, 3, padding=1) for _ in SCALES)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return x (N, C, h, w) weighted, and the mean map (N, 1, h, w)."""
        pooled = (F.avg_pool2d(x, scale, ceil_mode=True) if min(x.shape[2:]) >= scale else x for scale in SCALES)
        logits = [_resize(conv(p), x) for conv, p in zip(self.maps, pooled, strict=True)]
        mean = torch.cat(logits, 1).sigmoid().mean(1, keepdim=True)
        return (1 + mean) * x, mean


def _resize(x: Tensor, like: Tensor) -> Tensor:
    return F.interpolate(x, like.shape[2:], mode="bilinear", align_corners=False)
