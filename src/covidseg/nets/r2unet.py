"""R2U-Net: a U-Net of recurrent residual blocks."""

from __future__ import annotations

from torch import Tensor, nn

from covidseg.base.errors import UserError
from covidseg.nets.layers import conv_bn_relu
from covidseg.nets.ushape import UShape, nearest_and_convolution

PLANNING = {"weights_mib": 149, "kept_bytes": 20600, "forward_bytes": 1800, "stride": 16, "encoder": None}


class R2UNet(UShape):
    """R2U-Net (Alom et al., arXiv:1802.06955, 2018, figures 3 and 4).

    In: (N, in_channels, H, W), any size. Out: ``logits`` (N, out_channels, H, W). Five levels of 64 to 1024 channels
    times ``width``; max pooling down, enlarged by nearest pixels and a 3x3 convolution up, concatenated skips. ``t``:
    how often each convolution sees its own output again. Sizes that 16 does not divide are padded inside. With three
    channels in, one out and t = 2 it has the 39,091,393 parameters of the widely used public implementation, whose
    convolutions all have a bias and whose normalisation is shared by the steps of a recurrence.
    """

    def __init__(self, in_channels: int, out_channels: int, *, width: float = 1.0, t: int = 2) -> None:
        if t < 1:
            raise UserError(f"net.t: must be 1 or more (found {t})")
        super().__init__(in_channels, out_channels, width, lambda i, o: Block(i, o, t), nearest_and_convolution)


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
