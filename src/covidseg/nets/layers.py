"""What several networks share."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from covidseg.base.errors import UserError

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def scaled(channels: int, width: float) -> int:
    """Return ``channels`` times ``width``, rounded to a multiple of 4, at least 4. Raises UserError for width <= 0."""
    if width <= 0:
        raise UserError(f"net.width: must be above 0 (found {width:g})")
    return max(4, 4 * round(channels * width / 4))


def conv_bn_relu(
    in_channels: int, out_channels: int, kernel: int, stride: int = 1, bias: bool = False
) -> nn.Sequential:
    """Return a convolution that keeps the size (up to its stride), batch normalisation and ReLU."""
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, kernel, stride, kernel // 2, bias=bias),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(inplace=True),
    )


class Depthwise(nn.Conv2d):
    """A 3x3 convolution of each channel by itself that keeps the size, without bias; in float32 on a CPU.

    In bfloat16, torch 2.13 gives the weights of a dilated one gradients of NaN on a CPU, or reads outside its memory.
    """

    def __init__(self, channels: int, dilation: int = 1) -> None:
        super().__init__(channels, channels, 3, 1, dilation, dilation, groups=channels, bias=False)

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Return (N, channels, H, W)."""
        if x_NCHW.device.type != "cpu":
            return super().forward(x_NCHW)
        with torch.autocast("cpu", enabled=False):
            return super().forward(x_NCHW.float())


def pad_to(x: Tensor, multiple: int) -> Tensor:
    """Return x (N, C, H, W) padded with zeros at the bottom and right until both sizes are multiples."""
    bottom, right = -x.shape[2] % multiple, -x.shape[3] % multiple
    return F.pad(x, (0, right, 0, bottom)) if bottom or right else x


class ImagenetInput(nn.Module):
    """What an encoder with ImageNet weights expects of (N, in_channels, H, W) in 0..1.

    One channel becomes three, with ImageNet's mean and deviation; more stay as they are. ``channels``: how many come
    out.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.channels = 3 if in_channels == 1 else in_channels
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(IMAGENET_STD).view(1, 3, 1, 1), persistent=False)

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Return (N, channels, H, W)."""
        return (x_NCHW - self.mean) / self.std if x_NCHW.shape[1] == 1 else x_NCHW
