"""SCOAT-Net: a nested U-Net whose middle nodes attend to places first and to channels then."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor, nn

from covidseg.nets.grid import STRIDE, Grid, Join, Plain
from covidseg.nets.layers import conv_bn_relu, pad_to

PLANNING = {"weights_mib": 156, "kept_bytes": 26400, "forward_bytes": 4640, "stride": 16, "encoder": None}
REDUCTION = 16  # r of the channel attention, section III.C


class SCOATNet(nn.Module):
    """SCOAT-Net (Zhao et al., Pattern Recognition 119:108109, 2021, section III; medRxiv 2020.09.23.20191726).

    In: (N, in_channels, H, W), any size. Out: ``logits`` (N, out_channels, H, W), and ``attention``, the maps x_M of
    eq. 1 by node (``1_1``, ``2_1``, ``3_1``, ``1_2``, ``2_2``, ``1_3``: row, column), each (N, 1, h, w) in 0..1. The
    grid of U-Net++ with rows of 64 to 1024 channels times ``width``, bilinear interpolation up; residual blocks in
    column 0 and row 0; in rows 1 to 3 the nodes have a spatial and then a channel attention module. The logits are a
    3x3 convolution of x^{0,4}; no deep supervision.

    ``relu``: in eqs. 1 and 6 each convolution has its own ReLU before the sum (``inside``); the released code has one
    after the sum (``after``); residual blocks follow the same option. ``shortcut``: of eq. 6, from x_c as it is
    (``raw``), or, as in the released code, from the reweighted x_V x_c. Eq. 3 leaves x^{i,j} out of the concatenation,
    which figure 1 and the released code do not; it is kept. Widths are those that fit table III; the released code
    has half of them (``width: 0.5``) and there, with three input channels, 10,209,363 parameters.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        width: float = 1.0,
        relu: Literal["inside", "after"] = "inside",
        shortcut: Literal["raw", "reweighted"] = "raw",
    ) -> None:
        super().__init__()
        after = relu == "after"

        def encode(inputs: int, outputs: int) -> nn.Module:
            return Residual(inputs, outputs, after)

        def join(row: int, inputs: int, outputs: int, below: int) -> Join:
            if row == 0:
                return Plain(Residual(inputs, outputs, after))
            return Attention(inputs, outputs, below, after, shortcut == "reweighted")

        self.grid = Grid(in_channels, width, encode, join)
        self.head = nn.Conv2d(self.grid.channels[0], out_channels, 3, padding=1)
        nn.init.kaiming_normal_(self.head.weight)

    def forward(self, x_NCHW: Tensor) -> dict[str, Any]:
        """Return ``logits`` and ``attention``."""
        H, W = x_NCHW.shape[2:]
        features, maps = self.grid(pad_to(x_NCHW, STRIDE))
        return {"logits": self.head(features)[:, :, :H, :W], "attention": maps}


class Residual(nn.Module):
    """Two 3x3 convolutions and a 1x1 shortcut, all normalised; ``after``: one ReLU after the sum, else one in each."""

    def __init__(self, in_channels: int, out_channels: int, after: bool) -> None:
        super().__init__()
        self.after = after
        self.first = conv_bn_relu(in_channels, out_channels, 3, bias=True)
        self.second = nn.Sequential(nn.Conv2d(out_channels, out_channels, 3, padding=1), nn.BatchNorm2d(out_channels))
        self.shortcut = nn.Sequential(nn.Conv2d(in_channels, out_channels, 1), nn.BatchNorm2d(out_channels))

    def forward(self, x: Tensor, shortcut: Tensor | None = None) -> Tensor:
        """Return the convolutions of x plus the shortcut of ``shortcut``, or of x without one."""
        y = self.second(self.first(x))
        return summed(y, self.shortcut(x if shortcut is None else shortcut), self.after)


class Attention(Join):
    """A node of rows 1 to 3: spatial attention (eqs. 1 and 2), then channel attention (eqs. 3 to 6)."""

    def __init__(self, in_channels: int, channels: int, below: int, after: bool, reweighted: bool) -> None:
        super().__init__()
        self.reweighted = reweighted
        self.spatial = Spatial(channels, below, after)
        few = max(1, in_channels // REDUCTION)
        self.channel = nn.Sequential(
            nn.Linear(in_channels, few, bias=False),
            nn.ReLU(inplace=True),
            nn.Linear(few, in_channels, bias=False),
            nn.Sigmoid(),
        )
        for layer in self.channel:
            if isinstance(layer, nn.Linear):
                nn.init.kaiming_normal_(layer.weight)
        self.block = Residual(in_channels, channels, after)

    def forward(self, skips: list[Tensor], below: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return the node's features and x_M."""
        attention = self.spatial(skips[-1], below)
        c = torch.cat([*skips, (1 + attention) * below], 1)
        weighted = self.channel(c.mean((2, 3)))[:, :, None, None] * c
        return self.block(weighted, weighted if self.reweighted else c), attention


class Spatial(nn.Module):
    """The map x_M of eq. 1: where the node at the same size and the enlarged one below agree that something is."""

    def __init__(self, channels: int, below: int, after: bool) -> None:
        super().__init__()
        self.after = after
        self.here = nn.Sequential(nn.Conv2d(channels, channels, 1), nn.BatchNorm2d(channels))
        self.below = nn.Sequential(nn.Conv2d(below, channels, 1), nn.BatchNorm2d(channels))
        self.map = nn.Sequential(nn.Conv2d(channels, 1, 1), nn.BatchNorm2d(1), nn.Sigmoid())

    def forward(self, here: Tensor, below: Tensor) -> Tensor:
        """Return x_M (N, 1, h, w) from x^{i,j} and the enlarged x^{i+1,j}."""
        return self.map(summed(self.here(here), self.below(below), self.after))  # type: ignore[no-any-return]


def summed(a: Tensor, b: Tensor, after: bool) -> Tensor:
    """Return relu(a + b) where ``after``, else relu(a) + relu(b); a and b are overwritten."""
    return (a + b).relu_() if after else a.relu_() + b.relu_()
