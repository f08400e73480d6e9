"""PoolNet's saliency (Liu et al., CVPR 2019), with the weights that its authors released for ResNet-50.

Module names are those of the released weights. No public hash of them is known: they come from the mirror only, and
``config.yaml`` names their sha256.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from covidseg.base.errors import UserError
from covidseg.data.canonical import U8
from covidseg.nets.published import read

if TYPE_CHECKING:
    from covidseg.saliency import Predict

SMALLEST = 128  # pixels a side: smaller slices are enlarged, or the deepest map has none to average
MEAN = (104.00699, 116.66877, 122.67892)  # of ImageNet's blue, green and red, 0 to 255
STAGES = ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 1))  # planes, blocks, stride
CONVERT = ((64, 128), (256, 256), (512, 256), (1024, 512), (2048, 512))
POOLS = ((512, 512, False, True), (512, 256, True, True), (256, 256, True, True), (256, 128, True, True),
         (128, 128, False, False))  # in, out, enlarged, joined with the encoder  # fmt: skip
GUIDE = (512, 256, 256, 128)


def network(path: Path, device: str = "auto") -> Predict:
    """Return the predictor of a file of weights. Raises UserError when they are not the network's."""
    from covidseg.train.device import prepare

    where = prepare(device, 1)
    net = PoolNet()
    try:
        net.load_state_dict(read(path, "PoolNet's weights"))
    except (RuntimeError, AttributeError) as e:
        raise UserError(
            f"{path}: not PoolNet's weights for ResNet-50 ({str(e).splitlines()[-1].strip()}); put the right file there"
        ) from e
    net.to(where).eval()

    def predict(image: U8, lung: U8) -> U8:
        grey = torch.from_numpy(np.ascontiguousarray(image)).to(where).float()
        x = (grey - torch.tensor(MEAN, device=where)[:, None, None])[None]
        larger = max(1.0, SMALLEST / min(image.shape))
        size = torch.Size([round(side * larger) for side in image.shape])
        with torch.inference_mode():
            p = _to(torch.sigmoid(net(_to(x, size))), x.shape[2:])
        found: U8 = (p[0, 0] * 255).round().to(torch.uint8).cpu().numpy()
        return found

    return predict


class PoolNet(nn.Module):
    """PoolNet over ResNet-50, without edges. In: (N, 3, H, W) from 128 pixels, blue first. Out: logits (N, 1, H, W)."""

    def __init__(self) -> None:
        super().__init__()
        self.base = Base()
        self.deep_pool = nn.ModuleList(DeepPool(*options) for options in POOLS)
        self.score = nn.Module()
        self.score.score = nn.Conv2d(128, 1, 1)
        self.convert = nn.Module()
        self.convert.convert0 = nn.ModuleList(
            nn.Sequential(nn.Conv2d(i, o, 1, bias=False), nn.ReLU(inplace=True)) for i, o in CONVERT
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits."""
        maps, guides = self.base(x)
        layers = self.convert.convert0
        maps = [convert(m) for convert, m in zip(layers, maps, strict=True)][::-1]  # type: ignore[arg-type]
        y = maps[0]
        for pool, deeper, guide in zip(self.deep_pool, maps[1:], guides, strict=False):
            y = pool(y, deeper, guide)
        y = self.score.score(self.deep_pool[-1](y))  # type: ignore[operator]
        return _to(y, x.shape[2:])


class Base(nn.Module):
    """The encoder, and the pyramid of its last map that guides each step of the decoder."""

    def __init__(self) -> None:
        super().__init__()
        self.resnet = ResNet()
        self.ppms_pre = nn.Conv2d(2048, 512, 1, bias=False)
        self.ppms = nn.ModuleList(
            nn.Sequential(nn.AdaptiveAvgPool2d(n), nn.Conv2d(512, 512, 1, bias=False), nn.ReLU(inplace=True))
            for n in (1, 3, 5)
        )
        self.ppm_cat = _conv3(2048, 512)
        self.infos = nn.ModuleList(_conv3(512, o) for o in GUIDE)

    def forward(self, x: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Return the maps of the stem and the four stages, and the guides, deepest first."""
        maps = self.resnet(x)
        last = self.ppms_pre(maps[-1])
        joined = self.ppm_cat(torch.cat([last, *(_to(ppm(last), last.shape[2:]) for ppm in self.ppms)], 1))
        return maps, [info(_to(joined, m.shape[2:])) for info, m in zip(self.infos, reversed(maps[:-1]), strict=True)]


class DeepPool(nn.Module):
    """A map plus its means over 2, 4 and 8 pixels; enlarged, joined with the encoder's map and a guide."""

    def __init__(self, in_channels: int, out_channels: int, enlarged: bool, joined: bool) -> None:
        super().__init__()
        self.enlarged, self.joined = enlarged, joined
        self.pools = nn.ModuleList(nn.AvgPool2d(n, n) for n in (2, 4, 8))
        self.convs = nn.ModuleList(nn.Conv2d(in_channels, in_channels, 3, padding=1, bias=False) for _ in range(3))
        self.conv_sum = nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False)
        if joined:
            self.conv_sum_c = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False)

    def forward(self, x: Tensor, deeper: Tensor | None = None, guide: Tensor | None = None) -> Tensor:
        """Return (N, out_channels, h, w), at the size of the encoder's map where it is enlarged."""
        y = x
        for pool, conv in zip(self.pools, self.convs, strict=True):
            y = y + _to(conv(pool(x)), x.shape[2:])
        y = F.relu(y)
        if self.enlarged and deeper is not None:
            y = _to(y, deeper.shape[2:])
        y = self.conv_sum(y)
        return self.conv_sum_c(y + deeper + guide) if self.joined else y


class ResNet(nn.Module):
    """ResNet-50 with the stride in each block's first convolution, and a dilated last stage."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1, ceil_mode=True)
        before = 64
        for number, (planes, blocks, stride) in enumerate(STAGES, 1):
            dilation = 2 if number == 4 else 1
            stage = [
                Bottleneck(before if k == 0 else 4 * planes, planes, stride if k == 0 else 1, dilation, k == 0)
                for k in range(blocks)
            ]
            self.add_module(f"layer{number}", nn.Sequential(*stage))
            before = 4 * planes

    def forward(self, x: Tensor) -> list[Tensor]:
        """Return the maps of the stem and the four stages."""
        maps = [self.relu(self.bn1(self.conv1(x)))]
        x = self.maxpool(maps[0])
        for number in range(1, 1 + len(STAGES)):
            x = self.get_submodule(f"layer{number}")(x)
            maps.append(x)
        return maps


class Bottleneck(nn.Module):
    """1x1 with the stride, 3x3, 1x1 and a shortcut, projected in the first block of a stage."""

    def __init__(self, in_channels: int, planes: int, stride: int, dilation: int, first: bool) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, planes, 1, stride, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, planes, 3, padding=dilation, dilation=dilation, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.conv3 = nn.Conv2d(planes, 4 * planes, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(4 * planes)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = (
            nn.Sequential(nn.Conv2d(in_channels, 4 * planes, 1, stride, bias=False), nn.BatchNorm2d(4 * planes))
            if first
            else None
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return relu(convolutions(x) + shortcut(x))."""
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.relu(self.bn2(self.conv2(y)))
        shortcut = x if self.downsample is None else self.downsample(x)
        return self.relu(self.bn3(self.conv3(y)) + shortcut)  # type: ignore[no-any-return]


def _conv3(in_channels: int, out_channels: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False), nn.ReLU(inplace=True))


def _to(x: Tensor, size: torch.Size) -> Tensor:
    return F.interpolate(x, size, mode="bilinear", align_corners=True)
