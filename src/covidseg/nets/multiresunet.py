"""MultiResUNet: U-Net with multi-resolution blocks and residual paths on its skips."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from covidseg.nets.layers import pad_to, scaled

PLANNING = {"weights_mib": 27.5, "kept_bytes": 9000, "forward_bytes": 1420, "stride": 1, "encoder": None}
ALPHA = 1.67  # makes a block about as large as two convolutions of a U-Net


class MultiResUNet(nn.Module):
    """MultiResUNet (Ibtehaz and Rahman, Neural Networks 121, 2020, figures 3 to 5).

    In: (N, in_channels, H, W), any size. Out: ``logits`` (N, out_channels, H, W). Five levels of 32 to 512 channels
    times ``width``; a block has three 3x3 convolutions in a row whose outputs join, and a 1x1 shortcut; a path of 4,
    3, 2 and 1 residual convolutions leads from encoder to decoder. The released code normalises the logits of its 1x1
    head and leaves the scale out of most normalisations; here the head is a plain convolution with a bias and every
    normalisation has a scale.
    """

    def __init__(self, in_channels: int, out_channels: int, *, width: float = 1.0) -> None:
        super().__init__()
        c = [scaled(n, width) for n in (32, 64, 128, 256, 512)]
        inputs = [in_channels]
        self.encoder = nn.ModuleList()
        for n in c:
            self.encoder.append(block := MultiRes(inputs[-1], n))
            inputs.append(block.channels)
        self.paths = nn.ModuleList(
            ResPath(i, n, 4 - k) for k, (i, n) in enumerate(zip(inputs[1:5], c[:4], strict=True))
        )
        self.up, self.decoder = nn.ModuleList(), nn.ModuleList()
        deep = inputs[-1]
        for n in reversed(c[:4]):
            self.up.append(nn.ConvTranspose2d(deep, n, 2, 2))
            self.decoder.append(block := MultiRes(2 * n, n))
            deep = block.channels
        self.pool = nn.MaxPool2d(2)
        self.head = nn.Conv2d(deep, out_channels, 1)

    def forward(self, x_NCHW: Tensor) -> dict[str, Tensor]:
        """Return ``logits``."""
        H, W = x_NCHW.shape[2:]
        x, skips = pad_to(x_NCHW, 16), []
        *blocks, deepest = self.encoder
        for block, path in zip(blocks, self.paths, strict=True):
            x = block(x)
            skips.append(path(x))
            x = self.pool(x)
        x = deepest(x)
        for up, block, skip in zip(self.up, self.decoder, reversed(skips), strict=True):
            x = block(torch.cat((up(x), skip), 1))
        return {"logits": self.head(x)[:, :, :H, :W]}


class MultiRes(nn.Module):
    """Three 3x3 convolutions in a row, whose outputs join, and a 1x1 shortcut (figure 3 c)."""

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        parts = [max(1, int(ALPHA * channels * share)) for share in (0.167, 0.333, 0.5)]
        self.channels = sum(parts)
        self.shortcut = _conv(in_channels, self.channels, 1)
        pairs = zip([in_channels, *parts], parts, strict=False)
        self.row = nn.ModuleList(nn.Sequential(_conv(i, o, 3), nn.ReLU(inplace=True)) for i, o in pairs)
        self.joined, self.out = nn.BatchNorm2d(self.channels), nn.BatchNorm2d(self.channels)

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, channels, H, W); ``channels`` is about 1.67 times those asked for."""
        found, y = [], x
        for conv in self.row:
            y = conv(y)
            found.append(y)
        return self.out(torch.relu(self.joined(torch.cat(found, 1)) + self.shortcut(x)))  # type: ignore[no-any-return]


class ResPath(nn.Module):
    """A row of 3x3 convolutions, each with a 1x1 shortcut, between encoder and decoder (figure 4)."""

    def __init__(self, in_channels: int, channels: int, length: int) -> None:
        super().__init__()
        inputs = [in_channels, *([channels] * (length - 1))]
        self.convs = nn.ModuleList(nn.Sequential(_conv(i, channels, 3), nn.ReLU(inplace=True)) for i in inputs)
        self.shortcuts = nn.ModuleList(_conv(i, channels, 1) for i in inputs)
        self.norms = nn.ModuleList(nn.BatchNorm2d(channels) for _ in inputs)

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, channels, H, W)."""
        for conv, shortcut, norm in zip(self.convs, self.shortcuts, self.norms, strict=True):
            x = norm(torch.relu(conv(x) + shortcut(x)))
        return x


def _conv(in_channels: int, out_channels: int, kernel: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, kernel, padding=kernel // 2, bias=False), nn.BatchNorm2d(out_channels)
    )
