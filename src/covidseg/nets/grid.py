"""The nested grid of U-Net++: rows are resolutions, columns are decoding steps, and each row is densely connected."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from covidseg.nets.layers import conv_bn_relu, scaled

CHANNELS = (64, 128, 256, 512, 1024)  # of the five rows; SCOAT-Net's table III fits these widths
STRIDE = 16  # of the deepest row


class Join(nn.Module, ABC):
    """One node X^{i,j} behind the encoder: it joins the earlier nodes of its row and the enlarged node below."""

    @abstractmethod
    def forward(self, skips: list[Tensor], below: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return the node's features (N, C_i, h, w) and its attention map (N, 1, h, w), or None without one.

        skips: x^{i,0} .. x^{i,j-1}; below: x^{i+1,j-1}, enlarged to the same size.
        """


class Plain(Join):
    """A node without attention: ``block`` sees all maps concatenated."""

    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        self.block = block

    def forward(self, skips: list[Tensor], below: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return the block's output, and no attention map."""
        return self.block(torch.cat([*skips, below], 1)), None


class Grid(nn.Module):
    """U-Net++'s nodes X^{i,j}, rows i from 0 (full size) to 4, columns j from 0 (the encoder) to 4 - i.

    In: (N, in_channels, H, W), both sizes multiples of 16. ``encode(inputs, outputs)`` makes the nodes of column 0,
    which max pooling joins; ``join(row, inputs, outputs, below)`` the others: ``inputs`` counts the channels of all
    maps together, ``below`` those of the node below, which bilinear interpolation enlarges (corners aligned).
    Convolutions start from He et al.'s normal distribution and normalisations from N(1, 0.02), as in the released
    SCOAT-Net. ``channels``: of the five rows.
    """

    def __init__(
        self,
        in_channels: int,
        width: float,
        encode: Callable[[int, int], nn.Module],
        join: Callable[[int, int, int, int], Join],
    ) -> None:
        super().__init__()
        self.channels = c = [scaled(channels, width) for channels in CHANNELS]
        self.encoder = nn.ModuleList(encode(i, o) for i, o in zip([in_channels, *c], c, strict=False))
        self.joins = nn.ModuleDict(
            {
                f"{row}_{column}": join(row, column * c[row] + c[row + 1], c[row], c[row + 1])
                for column in range(1, len(c))
                for row in range(len(c) - column)
            }
        )
        self.pool = nn.MaxPool2d(2)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight)
            elif isinstance(module, nn.BatchNorm2d):
                nn.init.normal_(module.weight, 1.0, 0.02)

    def forward(self, x_NCHW: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Return x^{0,4} and the attention maps by node, as ``1_1``."""
        rows = [[self.encoder[0](x_NCHW)]]
        for node in list(self.encoder)[1:]:
            rows.append([node(self.pool(rows[-1][0]))])
        maps = {}
        for name, join in self.joins.items():
            row = int(name.split("_")[0])
            below = F.interpolate(rows[row + 1][-1], scale_factor=2, mode="bilinear", align_corners=True)
            features, attention = join(rows[row], below)
            if attention is not None:
                maps[name] = attention
            rows[row].append(features)
        return rows[0][-1], maps


def double(in_channels: int, out_channels: int) -> nn.Sequential:
    """Return two 3x3 convolutions with biases, each with batch normalisation and ReLU."""
    return nn.Sequential(
        conv_bn_relu(in_channels, out_channels, 3, bias=True), conv_bn_relu(out_channels, out_channels, 3, bias=True)
    )
