"""Residual encoders with four stages: ResNet-50, and the frame that its relatives share."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn

from covidseg.nets.layers import scaled

EXPANSION = 4


class ResNet(nn.Module):
    """ResNet-50 (He et al., CVPR 2016, table 1), with the keys of the widely published ImageNet weights, without fc.

    In: (N, in_channels, H, W). Out: the maps of the four stages (256, 512, 1024 and 2048 channels times ``width``, at
    1/4, 1/8, 1/16 and 1/32); ``channels`` names their channels. With ``output_stride`` 8 or 16 no map is smaller than
    1/8 or 1/16: a later stage computes what it would with its stride, at every pixel, by dilated convolutions (Chen et
    al. 2017, section 3.1).
    """

    BLOCKS = (3, 4, 6, 3)

    def __init__(self, in_channels: int, width: float = 1.0, output_stride: int = 32) -> None:
        super().__init__()
        stem, *planes = (scaled(c, width) for c in (64, 64, 128, 256, 512))
        self.channels = [EXPANSION * c for c in planes]
        self.conv1 = self.stem(in_channels, stem)
        self.bn1 = nn.BatchNorm2d(stem)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        pairs = zip(pairwise([stem, *self.channels]), planes, self.BLOCKS, strict=True)
        dilation = 1
        for number, ((i, o), middle, blocks) in enumerate(pairs, 1):
            dense = 2 ** (number + 1) > output_stride
            stage = [self.block(i, middle, stride=1 if number == 1 or dense else 2, first=True)]
            stage += [self.block(o, middle) for _ in range(blocks - 1)]
            if dense:
                _dilate(stage, dilation)
                dilation *= 2
            self.add_module(f"layer{number}", nn.Sequential(*stage))
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def stem(self, in_channels: int, out_channels: int) -> nn.Module:
        """Return the first convolution, of stride 2."""
        return nn.Conv2d(in_channels, out_channels, 7, 2, 3, bias=False)

    def block(self, in_channels: int, planes: int, stride: int = 1, first: bool = False) -> nn.Module:
        """Return a block with ``EXPANSION * planes`` outputs; ``first``: of its stage."""
        return Bottleneck(in_channels, planes, stride, first)

    def forward(self, x_NCHW: Tensor) -> list[Tensor]:
        """Return the maps of the four stages, finest first."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(x_NCHW))))
        maps = []
        for number in range(1, len(self.BLOCKS) + 1):
            x = self.get_submodule(f"layer{number}")(x)
            maps.append(x)
        return maps


class Bottleneck(nn.Module):
    """1x1, 3x3 (with the stride), 1x1 and a shortcut, projected in the first block of a stage."""

    def __init__(self, in_channels: int, planes: int, stride: int, first: bool) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, planes, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, planes, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.conv3 = nn.Conv2d(planes, EXPANSION * planes, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(EXPANSION * planes)
        self.relu = nn.ReLU(inplace=True)
        out_channels = EXPANSION * planes
        self.downsample = (
            nn.Sequential(nn.Conv2d(in_channels, out_channels, 1, stride, bias=False), nn.BatchNorm2d(out_channels))
            if first
            else nn.Identity()
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return relu(convolutions(x) + shortcut(x))."""
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.relu(self.bn2(self.conv2(y)))
        return self.relu(self.bn3(self.conv3(y)) + self.downsample(x))  # type: ignore[no-any-return]


def _dilate(stage: list[nn.Module], dilation: int) -> None:
    """Spread the 3x3 convolutions of a stage that lost its stride: the first as before, the others twice as far."""
    for number, block in enumerate(stage):
        conv = block.get_submodule("conv2")
        assert isinstance(conv, nn.Conv2d)
        conv.dilation = conv.padding = (dilation if number == 0 else 2 * dilation,) * 2
