"""IRN: where the borders between classes run, learned from pairs of pixels with sure labels."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from covidseg.nets.layers import ImagenetInput, pad_to, scaled
from covidseg.nets.resnet import ResNet

PLANNING = {
    "weights_mib": 95,
    "kept_bytes": 2500,
    "forward_bytes": 490,
    "stride": 4,
    "encoder": "resnet50",
    "outputs": {"edge": None, "displacement": None},
}


class IRN(nn.Module):
    """Inter-pixel relation network (Ahn et al., CVPR 2019, figure 3) over ResNet-50 at stride 16.

    In: (N, in_channels, H, W) in 0..1. Out: ``edge`` (N, out_channels, H/4, W/4), logits of a class border at each
    place; ``displacement`` (N, 2, H/4, W/4), rows and columns to the centre of the instance, in places; ``logits``,
    the edges at the size of the input. The two branches read all five stages of the encoder. From ImageNet's weights
    (``init``) the encoder is frozen as published; from random ones it learns too. The mean that the release takes off
    displacements when predicting is left out: only instances need it.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        width: float = 1.0,
        encoder: Literal["resnet50"] = "resnet50",
        init: Literal["imagenet", "random"] = "imagenet",
    ) -> None:
        super().__init__()
        self.input = ImagenetInput(in_channels)
        self.encoder = ResNet(self.input.channels, width, output_stride=16)
        self.frozen = init == "imagenet"
        if self.frozen:
            self.encoder.requires_grad_(False)
        stages = [scaled(64, width), *self.encoder.channels]
        few = scaled(32, width)
        self.edges = nn.ModuleList(_point(c, few, 4) for c in stages)
        self.edge = nn.Conv2d(5 * few, out_channels, 1)
        one, two, more = (scaled(c, width) for c in (64, 128, 256))
        self.moves = nn.ModuleList(
            _point(c, o, g) for c, o, g in zip(stages, (one, two, more, more, more), (8, 16, 16, 16, 16), strict=True)
        )
        self.deep = _point(3 * more, more, 16)
        self.join = _point(one + two + more, more, 16)
        self.displacement = nn.Conv2d(more, 2, 1, bias=False)

    def forward(self, x_NCHW: Tensor) -> dict[str, Tensor]:
        """Return ``logits``, ``edge`` and ``displacement``."""
        H, W = x_NCHW.shape[2:]
        x = pad_to(x_NCHW, 16)
        maps = self._stages(self.input(x))
        quarter, eighth = maps[1].shape[2:], maps[2].shape[2:]
        edge = self.edge(torch.cat([_fit(b(m), quarter) for b, m in zip(self.edges, maps, strict=True)], 1))
        first, second, *deep = (branch(m) for branch, m in zip(self.moves, maps, strict=True))
        joined = self.deep(torch.cat([_fit(m, eighth) for m in deep], 1))
        moved = self.displacement(self.join(torch.cat((first, second, _fit(joined, quarter)), 1)))
        logits = F.interpolate(edge, x.shape[2:], mode="bilinear", align_corners=False)[:, :, :H, :W]
        return {"logits": logits, "edge": edge, "displacement": moved}

    def train(self, mode: bool = True) -> IRN:
        """Switch to training; a frozen encoder stays as it is."""
        super().train(mode)
        if self.frozen:
            self.encoder.eval()
        return self

    def _stages(self, x: Tensor) -> list[Tensor]:
        """Return the maps of the stem and of the four stages."""
        e = self.encoder
        stem = e.maxpool(e.relu(e.bn1(e.conv1(x))))
        maps = [stem]
        for number in range(1, 1 + len(e.BLOCKS)):
            maps.append(e.get_submodule(f"layer{number}")(maps[-1]))
        return maps


def _point(in_channels: int, out_channels: int, groups: int) -> nn.Sequential:
    groups = min(groups, out_channels // 4)
    conv = nn.Conv2d(in_channels, out_channels, 1, bias=False)
    return nn.Sequential(conv, nn.GroupNorm(groups, out_channels), nn.ReLU(inplace=True))


def _fit(x: Tensor, size: torch.Size) -> Tensor:
    return x if x.shape[2:] == size else F.interpolate(x, size, mode="bilinear", align_corners=False)
