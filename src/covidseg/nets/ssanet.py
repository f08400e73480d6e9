"""SSA-Net: a residual encoder, spatial convolution on its deepest map, and a LinkNet decoder."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor, nn

from covidseg.nets.layers import conv_bn_relu, pad_to, scaled
from covidseg.nets.spatial import SpatialConv

PLANNING = {
    "weights_mib": 119,
    "kept_bytes": 1300,
    "forward_bytes": 350,
    "stride": 32,
    "encoder": None,
    "outputs": {"features": None},
}

BLOCKS = (3, 4, 6, 3)


class SSANet(nn.Module):
    """SSA-Net (Wang et al., Medical Image Analysis 79:102459, 2022, section 3.1 and figure 2).

    In: (N, in_channels, H, W), any size. Out: ``logits`` (N, out_channels, H, W), and ``features``, the encoder maps
    e1..e4 (64, 128, 256, 512 channels at 1/4, 1/8, 1/16, 1/32) before the spatial convolution, for the
    self-attention loss. ``width`` multiplies all channels. Sizes that 32 does not divide are padded inside.

    The paper concatenates skips, the released code adds them: ``skip``. For ``concat`` the paper does not say how the
    channels come back; here the first 1x1 convolution of the next decoder block takes both maps. The paper names no
    kernel width for the spatial convolution; 9 is the released code's. With one input and one output channel and
    ``skip: add`` it has the 31,095,809 parameters of the released network.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        width: float = 1.0,
        spatial_conv: bool = True,
        skip: Literal["concat", "add"] = "concat",
    ) -> None:
        super().__init__()
        c1, c2, c3, c4, head = (scaled(c, width) for c in (64, 128, 256, 512, 32))
        self.skip = skip
        self.stem = nn.Sequential(conv_bn_relu(in_channels, c1, 7, stride=2), nn.MaxPool2d(3, 2, 1))
        sizes = ((c1, c1, 1), (c1, c2, 2), (c2, c3, 2), (c3, c4, 2))
        self.stages = nn.ModuleList(
            nn.Sequential(Block(i, o, stride, project=True), *(Block(o, o) for _ in range(n - 1)))
            for n, (i, o, stride) in zip(BLOCKS, sizes, strict=True)
        )
        self.spatial = SpatialConv(c4) if spatial_conv else nn.Identity()
        joined = 2 if skip == "concat" else 1
        self.decoder = nn.ModuleList(
            [
                _decoder(c4, c4 // 4, c3),
                _decoder(joined * c3, c3 // 4, c2),
                _decoder(joined * c2, c2 // 4, c1),
                _decoder(joined * c1, c1 // 4, c1),
            ]
        )
        self.head = nn.Sequential(
            nn.ConvTranspose2d(c1, head, 4, 2, 1),
            nn.ReLU(inplace=True),
            nn.Conv2d(head, head, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(head, out_channels, 3, padding=1),
        )

    def forward(self, x_NCHW: Tensor) -> dict[str, Any]:
        """Return ``logits`` and ``features``."""
        H, W = x_NCHW.shape[2:]
        x = self.stem(pad_to(x_NCHW, 32))
        features = []
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        x = self.spatial(x)
        for level, block in zip((2, 1, 0, None), self.decoder, strict=True):
            x = block(x)
            if level is not None:
                x = torch.cat((x, features[level]), 1) if self.skip == "concat" else x + features[level]
        return {"logits": self.head(x)[:, :, :H, :W], "features": features}


class Block(nn.Module):
    """Two 3x3 convolutions and a shortcut; the first convolution has a bias, as in the released code."""

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1, project: bool = False) -> None:
        super().__init__()
        self.first = conv_bn_relu(in_channels, out_channels, 3, stride, bias=True)
        self.second = nn.Sequential(
            nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False), nn.BatchNorm2d(out_channels)
        )
        self.shortcut = (
            nn.Sequential(nn.Conv2d(in_channels, out_channels, 1, stride, bias=False), nn.BatchNorm2d(out_channels))
            if project
            else nn.Identity()
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return relu(convolutions(x) + shortcut(x))."""
        return (self.second(self.first(x)) + self.shortcut(x)).relu_()  # type: ignore[no-any-return]


def _decoder(in_channels: int, middle: int, out_channels: int) -> nn.Sequential:
    """Return LinkNet's block: 1x1, 3x3 transposed with stride 2, 1x1, each with batch normalisation and ReLU."""
    return nn.Sequential(
        conv_bn_relu(in_channels, middle, 1, bias=True),
        nn.ConvTranspose2d(middle, middle, 3, 2, 1, output_padding=1),
        nn.BatchNorm2d(middle),
        nn.ReLU(inplace=True),
        conv_bn_relu(middle, out_channels, 1, bias=True),
    )
