"""Inf-Net: a parallel partial decoder finds the lesions, reverse attention guided by edges refines them."""

from __future__ import annotations

from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from covidseg.nets.layers import ImagenetInput, pad_to, scaled
from covidseg.nets.res2net import Res2Net
from covidseg.nets.resnet import ResNet
from covidseg.nets.vgg import VGG

PLANNING = {
    "weights_mib": 119,
    "kept_bytes": 2850,
    "forward_bytes": 260,
    "stride": 32,
    "encoder": "res2net50",
    "outputs": {"edge": {"edge_attention": True}},
}


class InfNet(nn.Module):
    """Inf-Net (Fan et al., IEEE TMI 39(8), 2020, section III-A and figure 2).

    In: (N, in_channels, H, W) in 0..1, any size; one channel becomes three with ImageNet's mean and deviation, more
    enter as they are. Out, all (N, out_channels, H, W): ``logits``, the finest map S_3; ``side``, the maps
    [S_g, S_5, S_4] for deep supervision; and ``edge`` (N, 1, H, W), logits of the lesions' edges. ``width`` multiplies
    all channels. Sizes that 32 does not divide are padded inside. The paper separates one class from background; with
    more channels of logits, 1 - sigmoid becomes what it stands for, the probability of background.

    The parts of table IV, each a switch:

    - ``ppd``: S_g comes from f3, f4 and f5 through receptive field blocks and the parallel partial decoder, at the
      size of f3. Without it S_g is a 1x1 convolution of f5: the paper does not say what its backbone predicts.
    - ``reverse_attention``: f5, f4, f3, each weighted by 1 - sigmoid of the coarser map, correct that map in turn.
      Without it S_g is the prediction and ``side`` is empty.
    - ``edge_attention``: the first stage's map predicts the edges; what it found on the way is concatenated to each
      reverse attention (eq. 2 as the authors corrected it). Without it there is no ``edge``; without reverse
      attention it teaches the encoder only.

    Convolutions outside the encoder have batch normalisation and no ReLU but where the released code has one; the
    last one of a reverse attention too. ``encoder``: the paper's Res2Net, or one of the two others in the released
    code; there VGG pools by averages and its maps lie one step finer. ``init``: where the encoder's training starts.
    With Res2Net, for three channels, this network has 31,072,721 parameters; the released one carries the 2,049,000 of
    a classifier that it never uses.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        width: float = 1.0,
        encoder: Literal["res2net50", "resnet50", "vgg16"] = "res2net50",
        init: Literal["imagenet", "random"] = "imagenet",
        ppd: bool = True,
        reverse_attention: bool = True,
        edge_attention: bool = True,
    ) -> None:
        super().__init__()
        del init  # a network is built with random weights; training puts published ones in (nets/published.py)
        self.input = ImagenetInput(in_channels)
        seen = self.input.channels
        self.encoder: ResNet | VGG
        if encoder == "vgg16":
            self.encoder = VGG(seen, width, pool="average")
        else:
            self.encoder = (Res2Net if encoder == "res2net50" else ResNet)(seen, width)
        c2, c3, c4, c5 = self.encoder.channels[-4:]
        middle, deep = scaled(64, width), scaled(256, width)
        self.decoder = (
            PartialDecoder((c3, c4, c5), scaled(32, width), out_channels) if ppd else nn.Conv2d(c5, out_channels, 1)
        )
        self.edge = EdgeAttention(c2, middle) if edge_attention else None
        guidance = middle if edge_attention else 0
        self.reverse = nn.ModuleList()
        if reverse_attention:
            self.reverse.append(ReverseAttention(c5, deep, guidance, (5, 5, 5, 1), out_channels))
            self.reverse.append(ReverseAttention(c4, middle, guidance, (3, 3, 3), out_channels))
            self.reverse.append(ReverseAttention(c3, middle, guidance, (3, 3, 3), out_channels))

    def forward(self, x_NCHW: Tensor) -> dict[str, Any]:
        """Return ``logits``, ``side`` and, with edge attention, ``edge``."""
        H, W = x_NCHW.shape[2:]
        x = pad_to(x_NCHW, 32)
        size = x.shape[2:]
        low, *high = self.encoder(self.input(x))[-4:]
        maps = [self.decoder(high if isinstance(self.decoder, PartialDecoder) else high[-1])]
        guidance, edge = self.edge(low) if self.edge is not None else (None, None)
        for attention, feature in zip(self.reverse, reversed(high), strict=False):
            maps.append(attention(feature, _resize(maps[-1], feature.shape[2:]), guidance))
        *side, logits = (_resize(m, size)[:, :, :H, :W] for m in maps)
        outputs: dict[str, Any] = {"logits": logits, "side": side}
        if edge is not None:
            outputs["edge"] = _resize(edge, size)[:, :, :H, :W]
        return outputs


class PartialDecoder(nn.Module):
    """Parallel partial decoder (Wu et al., CVPR 2019) over f3, f4, f5: logits (N, out_channels, H, W) of f3's size.

    Each map is first reduced to ``channels``; finer ones are multiplied by all coarser ones, then joined by
    concatenation, coarsest first. Every enlarged operand passes a 3x3 convolution.
    """

    def __init__(self, in_channels: tuple[int, int, int], channels: int, out_channels: int = 1) -> None:
        super().__init__()
        self.reduce = nn.ModuleList(ReceptiveField(c, channels) for c in in_channels)
        self.gate_5_to_4 = _conv_bn(channels, channels, 3)
        self.gate_5_to_3 = _conv_bn(channels, channels, 3)
        self.gate_4_to_3 = _conv_bn(channels, channels, 3)
        self.pass_5_to_4 = _conv_bn(channels, channels, 3)
        self.pass_4_to_3 = _conv_bn(2 * channels, 2 * channels, 3)
        self.join_4 = _conv_bn(2 * channels, 2 * channels, 3)
        self.join_3 = _conv_bn(3 * channels, 3 * channels, 3)
        self.head = nn.Sequential(_conv_bn(3 * channels, 3 * channels, 3), nn.Conv2d(3 * channels, out_channels, 1))

    def forward(self, maps: list[Tensor]) -> Tensor:
        """Return the global map S_g of [f3, f4, f5]."""
        f3, f4, f5 = (reduce(f) for reduce, f in zip(self.reduce, maps, strict=True))
        f5_at_4 = _double(f5)
        gated_4 = self.gate_5_to_4(f5_at_4) * f4
        gated_3 = self.gate_5_to_3(_double(f5_at_4)) * self.gate_4_to_3(_double(f4)) * f3
        joined_4 = self.join_4(torch.cat((gated_4, self.pass_5_to_4(f5_at_4)), 1))
        joined_3 = self.join_3(torch.cat((gated_3, self.pass_4_to_3(_double(joined_4))), 1))
        return self.head(joined_3)  # type: ignore[no-any-return]


class ReceptiveField(nn.Module):
    """Receptive field block (Liu et al., ECCV 2018) as Inf-Net changed it: four branches and a shortcut, then ReLU.

    A branch reaches k = 1, 3, 5 or 7: 1x1, 1xk, kx1, and 3x3 with dilation k.
    """

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        self.branches = nn.ModuleList([_conv_bn(in_channels, channels, 1)])
        for k in (3, 5, 7):
            line = (_conv_bn(channels, channels, kernel) for kernel in ((1, k), (k, 1)))
            self.branches.append(
                nn.Sequential(_conv_bn(in_channels, channels, 1), *line, _conv_bn(channels, channels, 3, dilation=k))
            )
        self.join = _conv_bn(4 * channels, channels, 3)
        self.shortcut = _conv_bn(in_channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, channels, H, W)."""
        return F.relu(self.join(torch.cat([branch(x) for branch in self.branches], 1)) + self.shortcut(x))


class EdgeAttention(nn.Module):
    """Three convolutions that yield the guidance, and one that makes edge logits of it (section III-A, 2)."""

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        self.guidance = nn.Sequential(
            _conv_bn(in_channels, channels, 1), _conv_bn(channels, channels, 3), _conv_bn(channels, channels, 3)
        )
        self.head = _conv_bn(channels, 1, 3)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return guidance (N, channels, H, W) and edge logits (N, 1, H, W)."""
        guidance = self.guidance(x)
        return guidance, self.head(guidance)


class ReverseAttention(nn.Module):
    """One refinement (section III-A, 4; eqs. 1 and 2): what the coarser map leaves out is looked at again.

    The feature times the coarser map's background is reduced to ``channels``, joined with the edge guidance, and
    convolved with ``kernels``, ReLU between; the result corrects the coarser map.
    """

    def __init__(
        self, in_channels: int, channels: int, guidance: int, kernels: tuple[int, ...], out_channels: int = 1
    ) -> None:
        super().__init__()
        self.reduce = _conv_bn(in_channels, channels, 1)
        *inner, last = kernels
        sizes = [channels + guidance] + [channels] * len(inner)
        self.inner = nn.ModuleList(_conv_bn(i, channels, k) for i, k in zip(sizes, inner, strict=False))
        self.head = _conv_bn(channels, out_channels, last)

    def forward(self, feature: Tensor, coarser: Tensor, guidance: Tensor | None) -> Tensor:
        """Return the finer logits (N, out_channels, H, W); feature and coarser have one size, guidance any or None."""
        x = self.reduce(feature * background(coarser))
        if guidance is not None:
            x = torch.cat((x, _resize(guidance, x.shape[2:])), 1)
        for conv in self.inner:
            x = F.relu(conv(x))
        return self.head(x) + coarser  # type: ignore[no-any-return]


def background(logits: Tensor) -> Tensor:
    """Return the probability of background (N, 1, H, W) by a map of logits."""
    return 1 - torch.sigmoid(logits) if logits.shape[1] == 1 else torch.softmax(logits, 1)[:, :1]


def _conv_bn(in_channels: int, out_channels: int, kernel: int | tuple[int, int], dilation: int = 1) -> nn.Sequential:
    """Return a convolution that keeps the size, and batch normalisation; no ReLU."""
    conv = nn.Conv2d(in_channels, out_channels, kernel, padding="same", dilation=dilation, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(out_channels))


def _double(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True)


def _resize(x: Tensor, size: torch.Size) -> Tensor:
    return F.interpolate(x, size, mode="bilinear", align_corners=False)
