"""The nested U-Net with plain blocks and, on request, other authors' attention modules."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor, nn

from covidseg.nets.attention import AttentionGate, PyramidAttention, ResidualAttention
from covidseg.nets.grid import STRIDE, Grid, Join, Plain, double
from covidseg.nets.layers import pad_to

PLANNING = {"weights_mib": 208, "kept_bytes": 19400, "forward_bytes": 4640, "stride": 16, "encoder": None}


class NestedUNet(nn.Module):
    """U-Net++ (Zhou et al., DLMIA 2018, figure 1a) as SCOAT-Net compares itself with it (Zhao et al. 2021, table III).

    In: (N, in_channels, H, W), any size. Out: ``logits`` (N, out_channels, H, W), and ``attention``, the maps by node
    (``1_1``: row 1, column 1), each (N, 1, h, w), where there are any. Rows of 64 to 1024 channels times ``width``,
    two 3x3 convolutions with biases and batch normalisation a node, max pooling down, bilinear interpolation up, a 3x3
    convolution at the end, no deep supervision. ``unetplusplus`` is MONAI's, narrower and with transposed convolutions.

    ``attention`` puts a module into the six nodes in which SCOAT-Net has its own, those of rows 1 to 3: ``residual``
    weights a node's output as a residual attention network does (AttentionV1 of table III), ``gate`` weights each skip
    as Attention U-Net does (V2), ``pyramid`` weights the output at three scales (V3). Where the authors put theirs is
    not stated. Sizes that 16 does not divide are padded inside.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        width: float = 1.0,
        attention: Literal["none", "residual", "gate", "pyramid"] = "none",
    ) -> None:
        super().__init__()

        def join(row: int, inputs: int, outputs: int, below: int) -> Join:
            block = double(inputs, outputs)
            if attention == "none" or row == 0:
                return Plain(block)
            if attention == "gate":
                return Gated(block, (inputs - below) // outputs, outputs, below)
            return Weighted(block, ResidualAttention(outputs) if attention == "residual" else PyramidAttention(outputs))

        self.grid = Grid(in_channels, width, double, join)
        self.head = nn.Conv2d(self.grid.channels[0], out_channels, 3, padding=1)
        nn.init.kaiming_normal_(self.head.weight)

    def forward(self, x_NCHW: Tensor) -> dict[str, Any]:
        """Return ``logits``, and ``attention`` where there are attention modules."""
        H, W = x_NCHW.shape[2:]
        features, maps = self.grid(pad_to(x_NCHW, STRIDE))
        logits = self.head(features)[:, :, :H, :W]
        return {"logits": logits, "attention": maps} if maps else {"logits": logits}


class Gated(Join):
    """A node whose skips pass gates, which the map from below opens; its map is that of the latest skip."""

    def __init__(self, block: nn.Module, skips: int, channels: int, below: int) -> None:
        super().__init__()
        self.block = block
        self.gates = nn.ModuleList(AttentionGate(channels, below, channels) for _ in range(skips))

    def forward(self, skips: list[Tensor], below: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return the node's features and the latest skip's map."""
        maps = [gate(skip, below) for gate, skip in zip(self.gates, skips, strict=True)]
        gated = [m * skip for m, skip in zip(maps, skips, strict=True)]
        return self.block(torch.cat([*gated, below], 1)), maps[-1]


class Weighted(Join):
    """A node whose output an attention module weights."""

    def __init__(self, block: nn.Module, attention: nn.Module) -> None:
        super().__init__()
        self.block, self.attention = block, attention

    def forward(self, skips: list[Tensor], below: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return the node's weighted features and the map."""
        features, attention = self.attention(self.block(torch.cat([*skips, below], 1)))
        return features, attention
