"""R2U-Net: a U-Net of recurrent residual blocks."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from covidseg.base.errors import UserError
from covidseg.nets.layers import conv_bn_relu, pad_to, scaled

PLANNING = {"weights_mib": 149, "kept_bytes": 20600, "forward_bytes": 1800, "stride": 16, "encoder": None}


class R2UNet(nn.Module):
    """R2U-Net (Alom et al., arXiv:1802.06955, 2018, figures 3 and 4).

    In: (N, in_channels, H, W), any size. Out: ``logits`` (N, out_channels, H, W). Five levels of 64 to 1024 channels
    times ``width``; max pooling down, enlarged by nearest pixels and a 3x3 convolution up, concatenated skips. ``t``:
    how often each convolution sees its own output again. Sizes that 16 does not divide are padded inside. With three
    channels in, one out and t = 2 it has the 39,091,393 parameters of the widely used public implementation, whose
    convolutions all have a bias and whose normalisation is shared by the steps of a recurrence.
    """

    def __init__(self, in_channels: int, out_channels: int, *, width: float = 1.0, t: int = 2) -> None:
        super().__init__()
        if t < 1:
            raise UserError(f"net.t: must be 1 or more (found {t})")
        sizes = [scaled(c, width) for c in (64, 128, 256, 512, 1024)]
        self.down = nn.ModuleList(Block(i, o, t) for i, o in zip([in_channels, *sizes], sizes, strict=False))
        self.pool = nn.MaxPool2d(2)
        pairs = list(zip(sizes[:0:-1], sizes[-2::-1], strict=True))
        self.up = nn.ModuleList(
            nn.Sequential(nn.Upsample(scale_factor=2), conv_bn_relu(i, o, 3, bias=True)) for i, o in pairs
        )
        self.join = nn.ModuleList(Block(2 * o, o, t) for _, o in pairs)
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


class Block(nn.Module):
    """A 1x1 convolution, and two recurrent convolutions of it that are added to it."""

    def __init__(self, in_channels: int, out_channels: int, t: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(in_channels, out_channels, 1)
        self.body = nn.Sequential(Recurrent(out_channels, t), Recurrent(out_channels, t))

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, out_channels, H, W)."""
        x = self.first(x)
        return x + self.body(x)  # type: ignore[no-any-return]


class Recurrent(nn.Module):
    """A convolution of its input, then ``t`` times of the sum of its input and its last output."""

    def __init__(self, channels: int, t: int) -> None:
        super().__init__()
        self.conv, self.t = conv_bn_relu(channels, channels, 3, bias=True), t

    def forward(self, x: Tensor) -> Tensor:
        """Return a tensor of the input's shape."""
        y = self.conv(x)
        for _ in range(self.t):
            y = self.conv(x + y)
        return y  # type: ignore[no-any-return]
