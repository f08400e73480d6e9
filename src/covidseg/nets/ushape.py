"""The shape that U-Nets share: down by max pooling, up again, and at each level the map of the way down joins in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from covidseg.nets.layers import conv_bn_relu, pad_to, scaled

SIZES = (64, 128, 256, 512, 1024)


class UShape(nn.Module):
    """Five levels of 64 to 1024 channels times ``width``. In: (N, in_channels, H, W), any size.

    Out: ``logits`` (N, out_channels, H, W). ``block(i, o)`` makes the convolutions of a level from i to o channels,
    ``enlarge(i, o)`` what doubles a map's size, and ``gate(o)``, where there is one, what says from a skip and the map
    from below how much of the skip passes; its maps are then in ``attention``, by the row of the skip (``3`` the
    deepest). Sizes that 16 does not divide are padded inside.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        width: float,
        block: Callable[[int, int], nn.Module],
        enlarge: Callable[[int, int], nn.Module],
        gate: Callable[[int], nn.Module] | None = None,
    ) -> None:
        super().__init__()
        sizes = [scaled(c, width) for c in SIZES]
        self.down = nn.ModuleList(block(i, o) for i, o in zip([in_channels, *sizes], sizes, strict=False))
        self.pool = nn.MaxPool2d(2)
        pairs = list(zip(sizes[:0:-1], sizes[-2::-1], strict=True))
        self.up = nn.ModuleList(enlarge(i, o) for i, o in pairs)
        self.gates = nn.ModuleList(gate(o) for _, o in pairs) if gate else None
        self.join = nn.ModuleList(block(2 * o, o) for _, o in pairs)
        self.head = nn.Conv2d(sizes[0], out_channels, 1)

    def forward(self, x_NCHW: Tensor) -> dict[str, Any]:
        """Return ``logits``, and with gates ``attention``."""
        H, W = x_NCHW.shape[2:]
        x = self.down[0](pad_to(x_NCHW, 16))
        skips = []
        for level in list(self.down)[1:]:
            skips.append(x)
            x = level(self.pool(x))
        maps = {}
        for k, (up, join) in enumerate(zip(self.up, self.join, strict=True)):
            x, skip = up(x), skips.pop()
            if self.gates is not None:
                maps[str(len(skips))] = attention = self.gates[k](skip, x)
                skip = attention * skip
            x = join(torch.cat((skip, x), 1))
        return {"logits": self.head(x)[:, :, :H, :W]} | ({"attention": maps} if maps else {})


def nearest_and_convolution(in_channels: int, out_channels: int) -> nn.Sequential:
    """Return what doubles a map's size by nearest pixels, and a 3x3 convolution after it."""
    return nn.Sequential(nn.Upsample(scale_factor=2), conv_bn_relu(in_channels, out_channels, 3, bias=True))
