"""Res2Net-50 v1b: a residual encoder whose 3x3 convolutions are split into a hierarchy."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from covidseg.nets.resnet import EXPANSION, ResNet

SPLITS = 4


class Res2Net(ResNet):
    """Res2Net50-v1b-26w-4s (Gao et al., TPAMI 2021, figure 2), the encoder of Inf-Net.

    Maps as ResNet's. Keys and shapes are those of the published ImageNet weights
    ``res2net50_v1b_26w_4s-3cf99910.pth`` without ``fc``. v1b differs from the first version in the stem of three 3x3
    convolutions and in averaging before a strided shortcut.
    """

    def stem(self, in_channels: int, out_channels: int) -> nn.Module:
        """Return three 3x3 convolutions, the first of stride 2."""
        middle = out_channels // 2
        return nn.Sequential(
            nn.Conv2d(in_channels, middle, 3, 2, 1, bias=False),
            nn.BatchNorm2d(middle),
            nn.ReLU(inplace=True),
            nn.Conv2d(middle, middle, 3, 1, 1, bias=False),
            nn.BatchNorm2d(middle),
            nn.ReLU(inplace=True),
            nn.Conv2d(middle, out_channels, 3, 1, 1, bias=False),
        )

    def block(self, in_channels: int, planes: int, stride: int = 1, first: bool = False) -> nn.Module:
        """Return a block with ``EXPANSION * planes`` outputs; ``first``: of its stage."""
        return Bottle2neck(in_channels, planes, stride, first)


class Bottle2neck(nn.Module):
    """1x1, four splits of 26/64 ``planes`` channels, 1x1 and a shortcut.

    Split 1 is convolved, splits 2 and 3 together with what their neighbour became, split 4 passes as it is. In the
    first block of a stage, whose splits change their size, each goes by itself and the fourth is averaged.
    """

    def __init__(self, in_channels: int, planes: int, stride: int, first: bool) -> None:
        super().__init__()
        split, out_channels = planes * 26 // 64, EXPANSION * planes
        self.first = first
        self.conv1 = nn.Conv2d(in_channels, SPLITS * split, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(SPLITS * split)
        self.convs = nn.ModuleList(nn.Conv2d(split, split, 3, stride, 1, bias=False) for _ in range(SPLITS - 1))
        self.bns = nn.ModuleList(nn.BatchNorm2d(split) for _ in range(SPLITS - 1))
        self.pool = nn.AvgPool2d(3, stride, 1) if first else nn.Identity()
        self.conv3 = nn.Conv2d(SPLITS * split, out_channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out_channels)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = (
            nn.Sequential(
                nn.AvgPool2d(stride, stride, ceil_mode=True, count_include_pad=False),
                nn.Conv2d(in_channels, out_channels, 1, bias=False),
                nn.BatchNorm2d(out_channels),
            )
            if first
            else nn.Identity()
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return relu(convolutions(x) + shortcut(x))."""
        *splits, last = self.relu(self.bn1(self.conv1(x))).chunk(SPLITS, 1)
        done: list[Tensor] = []
        for split, conv, bn in zip(splits, self.convs, self.bns, strict=True):
            alone = self.first or not done
            done.append(self.relu(bn(conv(split if alone else split + done[-1]))))
        y = self.bn3(self.conv3(torch.cat((*done, self.pool(last)), 1)))
        return self.relu(y + self.downsample(x))  # type: ignore[no-any-return]
