"""The lightweight U-Net of weakly supervised attention fusion: separable convolutions, attention, pyramid pooling."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from covidseg.nets.layers import Depthwise, conv_bn_relu, pad_to, scaled

PLANNING = {"weights_mib": 16, "kept_bytes": 28500, "forward_bytes": 1800, "stride": 1, "encoder": None}
BINS = (1, 2, 3, 6)  # pyramid pooling, as in PSPNet
RATES = (6, 12, 18)  # dilations of ASPP at 1/16 of the input
EXPANSION = 6  # of MobileNetV2's bottlenecks


class AttnFusion(nn.Module):
    """The segmentation network of the attention fusion paper (JIFS-210569, 2021, sections 3.3 to 3.6, figures 3 to 9).

    In: (N, in_channels, H, W), any size. Out: ``logits`` (N, out_channels, H, W). Five levels of 32 to 512 channels
    times ``width``. Each part is a switch: ``fe`` the feature extraction block of the first four encoder levels (else
    a conv block), ``se`` channel attention behind each of them, ``rc`` residual connections of 4, 3, 2 and 1
    bottlenecks on the skips, ``context`` what follows the fifth level. The paper states the parts and their order; the
    widths, the dilations 1, 2 and 4 of the extraction block, the reduction 16 of the channel attention, the bins 1, 2,
    3 and 6, the bilinear enlarging and the expansion 6 of the bottlenecks are not stated and are defaults of this
    implementation. No code was released.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        width: float = 1.0,
        fe: bool = True,
        rc: bool = True,
        se: bool = True,
        context: Literal["none", "aspp", "mdppm"] = "mdppm",
    ) -> None:
        super().__init__()
        *c, deep = (scaled(n, width) for n in (32, 64, 128, 256, 512))
        block = FeatureExtraction if fe else conv_block
        self.encoder = nn.ModuleList(block(i, o) for i, o in zip([in_channels, *c], c, strict=False))
        self.attention = nn.ModuleList(ChannelAttention(o) if se else nn.Identity() for o in c)
        self.pool = nn.MaxPool2d(2)
        self.deep = conv_block(c[-1], deep)
        self.context = {"none": nn.Identity, "aspp": ASPP, "mdppm": MDPPM}[context](*([deep] * (context != "none")))
        self.skips = nn.ModuleList(
            nn.Sequential(*(Bottleneck(o) for _ in range(4 - level))) if rc else nn.Identity()
            for level, o in enumerate(c)
        )
        self.shrink = nn.ModuleList(conv_bn_relu(i, o, 1) for i, o in zip([*c[1:], deep], c, strict=True))
        self.decoder = nn.ModuleList(conv_block(2 * o, o) for o in c)
        self.head = nn.Conv2d(c[0], out_channels, 1)

    def forward(self, x_NCHW: Tensor) -> dict[str, Tensor]:
        """Return ``logits``."""
        H, W = x_NCHW.shape[2:]
        x = pad_to(x_NCHW, 16)
        skips = []
        for block, attention, skip in zip(self.encoder, self.attention, self.skips, strict=True):
            x = attention(block(x))
            skips.append(skip(x))
            x = self.pool(x)
        x = self.context(self.deep(x))
        for skip, shrink, block in zip(reversed(skips), reversed(self.shrink), reversed(self.decoder), strict=True):
            x = shrink(F.interpolate(x, skip.shape[2:], mode="bilinear", align_corners=False))
            x = block(torch.cat((skip, x), 1))
        return {"logits": self.head(x)[:, :, :H, :W]}


def separable(in_channels: int, out_channels: int, dilation: int = 1) -> nn.Sequential:
    """Return a depthwise and a pointwise convolution, each with batch normalisation and ReLU (figure 6)."""
    return nn.Sequential(
        Depthwise(in_channels, dilation),
        nn.BatchNorm2d(in_channels),
        nn.ReLU(inplace=True),
        *conv_bn_relu(in_channels, out_channels, 1),
    )


def conv_block(in_channels: int, out_channels: int) -> nn.Sequential:
    """Return two depthwise separable convolutions (figure 5)."""
    return nn.Sequential(separable(in_channels, out_channels), separable(out_channels, out_channels))


class SpatialAttention(nn.Module):
    """Weigh each place by a 7x7 convolution of the mean and the maximum over channels (CBAM, Woo et al., ECCV 2018)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 1, 7, padding=3, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return x times its attention in 0..1."""
        return x * torch.sigmoid(self.conv(torch.cat((x.mean(1, keepdim=True), x.amax(1, keepdim=True)), 1)))


class ChannelAttention(nn.Module):
    """Weigh each channel by two fully connected layers of its mean (figure 4; squeeze and excitation)."""

    def __init__(self, channels: int, reduction: int = 16) -> None:
        super().__init__()
        few = max(1, channels // reduction)
        self.layers = nn.Sequential(
            nn.Conv2d(channels, few, 1), nn.ReLU(inplace=True), nn.Conv2d(few, channels, 1), nn.Sigmoid()
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return x times a weight in 0..1 for each channel."""
        return x * self.layers(x.mean((2, 3), keepdim=True))  # type: ignore[no-any-return]


class FeatureExtraction(nn.Module):
    """FE block (figure 7): separable convolutions at three dilations, joined; spatial attention; a shortcut."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.branches = nn.ModuleList(separable(in_channels, out_channels, rate) for rate in (1, 2, 4))
        self.join = conv_bn_relu(3 * out_channels, out_channels, 1)
        self.attention = SpatialAttention()
        self.norm = nn.BatchNorm2d(out_channels)
        self.shortcut = nn.Sequential(nn.Conv2d(in_channels, out_channels, 1, bias=False), nn.BatchNorm2d(out_channels))

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, out_channels, H, W)."""
        joined = self.join(torch.cat([branch(x) for branch in self.branches], 1))
        return F.relu(self.norm(self.attention(joined)) + self.shortcut(x))


class Bottleneck(nn.Module):
    """MobileNetV2's inverted residual block at stride 1 (figure 9; Sandler et al., CVPR 2018): linear at its end."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        wide = EXPANSION * channels
        self.layers = nn.Sequential(
            *conv_bn_relu(channels, wide, 1),
            Depthwise(wide),
            nn.BatchNorm2d(wide),
            nn.ReLU(inplace=True),
            nn.Conv2d(wide, channels, 1, bias=False),
            nn.BatchNorm2d(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return x plus the layers' output."""
        return x + self.layers(x)  # type: ignore[no-any-return]


class Pooled(nn.Module):
    """The map's mean over a grid of bins, in fewer channels, enlarged to the map again.

    It is normalised after it was enlarged: a single bin of a batch of one slice has no variance.
    """

    def __init__(self, in_channels: int, out_channels: int, bins: int) -> None:
        super().__init__()
        self.bins = bins
        self.point, *rest = conv_bn_relu(in_channels, out_channels, 1)
        self.spread = nn.Sequential(*rest)

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, out_channels, H, W)."""
        small = self.point(F.adaptive_avg_pool2d(x, self.bins))
        return self.spread(F.interpolate(small, x.shape[2:], mode="bilinear", align_corners=False))  # type: ignore[no-any-return]


class MDPPM(nn.Module):
    """Modified dilated pyramid pooling (figure 8): pooled and dilated branches of a quarter of the channels each."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        quarter = channels // 4
        self.pooled = nn.ModuleList(Pooled(channels, quarter, bins) for bins in BINS)
        self.dilated = nn.ModuleList(separable(channels, quarter, rate) for rate in (2, 4))
        self.join = conv_bn_relu(channels + quarter * (len(BINS) + 2), channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, channels, H, W)."""
        return self.join(torch.cat([x, *(b(x) for b in self.pooled), *(b(x) for b in self.dilated)], 1))  # type: ignore[no-any-return]


class ASPP(nn.Module):
    """Atrous spatial pyramid pooling (Chen et al. 2017) with this network's separable convolutions: the ablation."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            [conv_bn_relu(channels, channels, 1), *(separable(channels, channels, rate) for rate in RATES)]
        )
        self.mean = Pooled(channels, channels, 1)
        self.join = conv_bn_relu(5 * channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, channels, H, W)."""
        return self.join(torch.cat([*(branch(x) for branch in self.branches), self.mean(x)], 1))  # type: ignore[no-any-return]
