"""DeepLabV3+: dilated convolutions at several rates over a residual encoder, and a small decoder."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from covidseg.base.errors import UserError
from covidseg.nets.layers import Depthwise, ImagenetInput, conv_bn_relu, pad_to, scaled
from covidseg.nets.resnet import ResNet

PLANNING = {"weights_mib": 102, "kept_bytes": 5000, "forward_bytes": 580, "stride": 16, "encoder": None}

RATES = (6.0, 12.0, 18.0)  # where the encoder's deepest map is 1/16 of the input


class OnPyramid(nn.Module):
    """What both DeepLabs begin with: ResNet-50, and a pyramid of 256 channels times ``width`` over its last map.

    ``output_stride`` and ``rates`` are those of the networks, ``dilated`` makes a branch, see ``Pyramid``.
    """

    def __init__(
        self,
        in_channels: int,
        width: float,
        output_stride: int,
        rates: tuple[float, ...],
        dilated: Callable[[int, int, int], nn.Module],
    ) -> None:
        super().__init__()
        self.output_stride = output_stride
        self.input = ImagenetInput(in_channels)
        self.encoder = ResNet(self.input.channels, width, output_stride)
        used = chosen_rates(rates, output_stride)
        self.pyramid = Pyramid(self.encoder.channels[-1], scaled(256, width), used, dilated)


class DeepLabV3Plus(OnPyramid):
    """DeepLabV3+ (Chen et al., ECCV 2018, figure 2) over ResNet-50.

    In: (N, in_channels, H, W) in 0..1, any size; one channel becomes three with ImageNet's mean and deviation, more
    enter as they are. Out: ``logits`` (N, out_channels, H, W). ``output_stride``: the encoder's deepest map is this
    many times smaller than the input; later stages are dilated instead of strided. ``rates``: dilations of the three
    3x3 branches of the pyramid; none given: 6, 12 and 18 at stride 16, twice that at stride 8. The pyramid's 256
    channels times ``width``, enlarged, join 48 of the first stage's map; two 3x3 convolutions follow. Convolutions of
    pyramid and decoder are separable, as in the paper's best network, there over Xception. It has the parameters of
    segmentation-models-pytorch's DeepLabV3Plus with resnet50, which puts one of the decoder's convolutions before the
    maps join.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        width: float = 1.0,
        output_stride: Literal[8, 16] = 16,
        rates: tuple[float, ...] = (),
    ) -> None:
        super().__init__(in_channels, width, output_stride, rates, separable)
        middle, few = scaled(256, width), scaled(48, width)
        self.low = conv_bn_relu(self.encoder.channels[0], few, 1)
        self.decoder = nn.Sequential(separable(middle + few, middle), separable(middle, middle))
        self.head = nn.Conv2d(middle, out_channels, 1)

    def forward(self, x_NCHW: Tensor) -> dict[str, Tensor]:
        """Return ``logits``."""
        H, W = x_NCHW.shape[2:]
        x = pad_to(x_NCHW, self.output_stride)
        low, *_, deep = self.encoder(self.input(x))
        deep = resize(self.pyramid(deep), low.shape[2:])
        scores = self.head(self.decoder(torch.cat((deep, self.low(low)), 1)))
        return {"logits": resize(scores, x.shape[2:])[:, :, :H, :W]}


class Pyramid(nn.Module):
    """Atrous spatial pyramid pooling (Chen et al. 2017, section 3.3): 1x1, three dilated 3x3 and the image's mean.

    ``dilated(in_channels, channels, rate)`` makes one of the 3x3 branches. The mean is spread before it is normalised:
    that changes nothing, and a batch of one slice has a variance then.
    """

    def __init__(
        self, in_channels: int, channels: int, rates: list[int], dilated: Callable[[int, int, int], nn.Module]
    ) -> None:
        super().__init__()
        self.point = conv_bn_relu(in_channels, channels, 1)
        self.dilated = nn.ModuleList(dilated(in_channels, channels, rate) for rate in rates)
        self.mean, *rest = conv_bn_relu(in_channels, channels, 1)
        self.spread = nn.Sequential(*rest)
        self.join = conv_bn_relu(5 * channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, channels, H, W)."""
        mean = self.mean(x.mean((2, 3), keepdim=True)).expand(-1, -1, *x.shape[2:])
        branches = [self.point(x), *(branch(x) for branch in self.dilated), self.spread(mean)]
        return self.join(torch.cat(branches, 1))  # type: ignore[no-any-return]


def chosen_rates(rates: tuple[float, ...], output_stride: int) -> list[int]:
    """Return the pyramid's three dilations; none given: 6, 12 and 18 at stride 16, twice that at stride 8.

    Raises UserError unless they are three whole numbers from 1.
    """
    used = [int(rate) for rate in rates or (r * 16 / output_stride for r in RATES)]
    if len(used) != 3 or min(used) < 1 or used != [*(rates or used)]:
        raise UserError(f"net.rates: must be three whole numbers from 1 (found {', '.join(f'{r:g}' for r in rates)})")
    return used


def separable(in_channels: int, out_channels: int, dilation: int = 1) -> nn.Sequential:
    """Return a 3x3 convolution of each channel by itself, a 1x1 one of all, batch normalisation and ReLU."""
    return nn.Sequential(Depthwise(in_channels, dilation), *conv_bn_relu(in_channels, out_channels, 1))


def resize(x: Tensor, size: torch.Size) -> Tensor:
    """Return x enlarged bilinearly to ``size`` (H, W)."""
    return F.interpolate(x, size, mode="bilinear", align_corners=False)
