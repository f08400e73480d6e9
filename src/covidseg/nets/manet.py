"""MA-Net: a residual U-Net with attention over positions at its bottom and over channels at its joins."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from covidseg.nets.layers import ImagenetInput, conv_bn_relu, pad_to, scaled
from covidseg.nets.resnet import ResNet

PLANNING = {"weights_mib": 563, "kept_bytes": 3080, "forward_bytes": 400, "stride": 32, "encoder": "resnet50"}


class MANet(nn.Module):
    """MA-Net (Fan et al., IEEE Access 8:179656, 2020, figures 1 to 3) over ResNet-50.

    In: (N, in_channels, H, W) in 0..1, any size; one channel becomes three with ImageNet's mean and deviation, more
    enter as they are. Out: ``logits`` (N, out_channels, H, W). ``width`` multiplies all channels. Sizes that 32 does
    not divide are padded inside. Training starts from random weights; ``init: imagenet`` changes that.

    With three channels in and one out it has the 147,439,993 parameters of segmentation-models-pytorch's MAnet. That
    public code differs from the paper in its attention over positions: it takes one softmax over all pairs of positions
    of a slice, and reads the weighted sums with positions and channels interchanged. Here each position's weights sum
    to one and the result keeps its place, as the paper's equations say; the number of parameters is the same.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        width: float = 1.0,
        init: Literal["random", "imagenet"] = "random",
    ) -> None:
        super().__init__()
        del init  # a network is built with random weights; training puts published ones in (nets/published.py)
        self.input = ImagenetInput(in_channels)
        self.encoder = ResNet(self.input.channels, width)
        deepest = self.encoder.channels[-1]
        self.center = PositionAttention(deepest, scaled(64, width))
        sizes = [scaled(c, width) for c in (256, 128, 64, 32, 16)]
        skips = [*self.encoder.channels[-2::-1], scaled(64, width)]
        pairs = zip([deepest, *sizes], skips, sizes, strict=False)
        self.fuse = nn.ModuleList(FusedAttention(i, skip, o) for i, skip, o in pairs)
        self.last = nn.Sequential(conv_bn_relu(sizes[3], sizes[4], 3), conv_bn_relu(sizes[4], sizes[4], 3))
        self.head = nn.Conv2d(sizes[4], out_channels, 3, padding=1)

    def forward(self, x_NCHW: Tensor) -> dict[str, Tensor]:
        """Return ``logits``."""
        H, W = x_NCHW.shape[2:]
        encoder = self.encoder
        first = encoder.relu(encoder.bn1(encoder.conv1(self.input(pad_to(x_NCHW, 32)))))
        x, skips = encoder.maxpool(first), [first]
        for name in ("layer1", "layer2", "layer3", "layer4"):
            x = encoder.get_submodule(name)(x)
            skips.append(x)
        x = self.center(skips.pop())
        for fuse in self.fuse:
            x = fuse(x, skips.pop())
        x = self.last(F.interpolate(x, scale_factor=2, mode="nearest"))
        return {"logits": self.head(x)[:, :, :H, :W]}


class PositionAttention(nn.Module):
    """Position-wise attention block: each position adds all others' features, weighted by their likeness (figure 2)."""

    def __init__(self, channels: int, inner: int) -> None:
        super().__init__()
        self.query, self.key = nn.Conv2d(channels, inner, 1), nn.Conv2d(channels, inner, 1)
        self.value = nn.Conv2d(channels, channels, 3, padding=1)
        self.out = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Return a tensor of the input's shape."""
        query, key, value = (conv(x).flatten(2) for conv in (self.query, self.key, self.value))
        weights = torch.softmax(query.transpose(1, 2) @ key, 2)  # (N, HW, HW)
        return self.out(x + (value @ weights.transpose(1, 2)).view_as(x))  # type: ignore[no-any-return]


class FusedAttention(nn.Module):
    """Multi-scale fusion attention block: channels of the deeper map weigh by both maps' squeezed means (figure 3)."""

    def __init__(self, in_channels: int, skip_channels: int, out_channels: int) -> None:
        super().__init__()
        self.deep = nn.Sequential(
            conv_bn_relu(in_channels, in_channels, 3), conv_bn_relu(in_channels, skip_channels, 1)
        )
        self.of_deep, self.of_skip = _squeeze(skip_channels), _squeeze(skip_channels)
        self.join = nn.Sequential(
            conv_bn_relu(2 * skip_channels, out_channels, 3), conv_bn_relu(out_channels, out_channels, 3)
        )

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """Return (N, out_channels, H, W) of the skip's size."""
        x = F.interpolate(self.deep(x), scale_factor=2, mode="nearest")
        weights = self.of_deep(x.mean((2, 3), keepdim=True)) + self.of_skip(skip.mean((2, 3), keepdim=True))
        return self.join(torch.cat((x * weights, skip), 1))  # type: ignore[no-any-return]


def _squeeze(channels: int) -> nn.Sequential:
    """Return a squeeze-and-excitation of means, (N, channels, 1, 1)."""
    few = max(1, channels // 16)
    return nn.Sequential(nn.Conv2d(channels, few, 1), nn.ReLU(inplace=True), nn.Conv2d(few, channels, 1), nn.Sigmoid())
