"""ResNet-38d: the wide residual encoder of many weakly supervised methods, with dilated late stages."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from covidseg.nets.layers import scaled

# Stage: blocks, stride of its first, and of each block the middle and the outer channels
PLAIN = ((3, 2, 128, 128), (3, 2, 256, 256), (6, 2, 512, 512), (3, 1, 512, 1024))


class WideResNet38(nn.Module):
    """ResNet-38 (Wu et al., Pattern Recognition 90, 2019, model A1), dilated as in AffinityNet (Ahn, Kwak, CVPR 2018).

    In: (N, in_channels, H, W). Out: the maps of the last stages, at 1/8 of the input: 512, 1024 and 4096 channels times
    ``width``; ``channels`` names their channels. The fourth stage and those after it are dilated in place of strides,
    by 2 and 4; blocks are normalised before they convolve; the last two have dropout. Modules are named as in the
    weights that were released for it.
    """

    def __init__(self, in_channels: int, width: float = 1.0) -> None:
        super().__init__()
        self.conv1a = nn.Conv2d(in_channels, before := scaled(64, width), 3, padding=1, bias=False)
        for number, (blocks, stride, *channels) in enumerate(PLAIN, 2):
            middle, outer = (scaled(c, width) for c in channels)
            for k in range(blocks):
                dilation = 2 if number == 5 and k else 1
                block = Plain(before, middle, outer, stride if k == 0 else 1, dilation)
                self.add_module(f"b{number}_{k}" if k else f"b{number}", block)
                before = outer
        six, seven = scaled(2048, width), scaled(4096, width)
        self.b6 = Narrow(before, six, 0.3)
        self.b7 = Narrow(six, seven, 0.5)
        self.bn7 = nn.BatchNorm2d(seven)
        self.channels = [scaled(512, width), before, seven]
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")

    def forward(self, x_NCHW: Tensor) -> list[Tensor]:
        """Return the maps of the third, the fourth and the last stage."""
        x = self.conv1a(x_NCHW)
        maps = []
        for number, (blocks, *_) in enumerate(PLAIN, 2):
            for k in range(blocks):
                x = self.get_submodule(f"b{number}_{k}" if k else f"b{number}")(x)
            maps.append(x)
        return [*maps[-2:], F.relu(self.bn7(self.b7(self.b6(x))))]


class Plain(nn.Module):
    """Two 3x3 convolutions, each behind its normalisation; a projected shortcut where the map changes."""

    def __init__(self, in_channels: int, middle: int, out_channels: int, stride: int, dilation: int) -> None:
        super().__init__()
        self.same, self.stride = in_channels == out_channels and stride == 1, stride
        self.bn_branch2a = nn.BatchNorm2d(in_channels)
        self.conv_branch2a = nn.Conv2d(in_channels, middle, 3, stride, dilation, dilation, bias=False)
        self.bn_branch2b1 = nn.BatchNorm2d(middle)
        self.conv_branch2b1 = nn.Conv2d(middle, out_channels, 3, 1, dilation, dilation, bias=False)
        self.conv_branch1 = nn.Identity() if self.same else nn.Conv2d(in_channels, out_channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return convolutions(x) + shortcut(x)."""
        ready = F.relu(self.bn_branch2a(x))
        # Every second place is taken before the 1x1 convolution and not by its stride, which comes to the same: the
        # gradient of such a convolution of 8 channels writes past its memory on a CPU (torch 2.13, channels last).
        shortcut = x if self.same else self.conv_branch1(ready[:, :, :: self.stride, :: self.stride])
        y = self.conv_branch2a(ready)
        return self.conv_branch2b1(F.relu(self.bn_branch2b1(y))) + shortcut  # type: ignore[no-any-return]


class Narrow(nn.Module):
    """1x1 to a quarter, dilated 3x3 to a half, 1x1 to all channels, with dropout; a projected shortcut."""

    def __init__(self, in_channels: int, out_channels: int, dropout: float) -> None:
        super().__init__()
        quarter, half = out_channels // 4, out_channels // 2
        self.bn_branch2a = nn.BatchNorm2d(in_channels)
        self.conv_branch2a = nn.Conv2d(in_channels, quarter, 1, bias=False)
        self.bn_branch2b1 = nn.BatchNorm2d(quarter)
        self.dropout_2b1 = nn.Dropout2d(dropout)
        self.conv_branch2b1 = nn.Conv2d(quarter, half, 3, padding=4, dilation=4, bias=False)
        self.bn_branch2b2 = nn.BatchNorm2d(half)
        self.dropout_2b2 = nn.Dropout2d(dropout)
        self.conv_branch2b2 = nn.Conv2d(half, out_channels, 1, bias=False)
        self.conv_branch1 = nn.Conv2d(in_channels, out_channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return convolutions(x) + shortcut(x)."""
        ready = F.relu(self.bn_branch2a(x))
        y = self.conv_branch2a(ready)
        y = self.conv_branch2b1(self.dropout_2b1(F.relu(self.bn_branch2b1(y))))
        y = self.conv_branch2b2(self.dropout_2b2(F.relu(self.bn_branch2b2(y))))
        return y + self.conv_branch1(ready)  # type: ignore[no-any-return]
