"""PSPNet: pyramid pooling over a dilated residual encoder."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from covidseg.base.errors import UserError
from covidseg.nets.layers import ImagenetInput, conv_bn_relu, pad_to, scaled
from covidseg.nets.resnet import ResNet

PLANNING = {"weights_mib": 178, "kept_bytes": 4350, "forward_bytes": 580, "stride": 8, "encoder": None}
BINS = (1, 2, 3, 6)
STRIDE = 8


class PSPNet(nn.Module):
    """PSPNet (Zhao et al., CVPR 2017, figure 3) over ResNet-50, dilated to stride 8.

    In: (N, in_channels, H, W) in 0..1, any size; one channel becomes three with ImageNet's mean and deviation, more
    enter as they are. Out: ``logits`` (N, out_channels, H, W). The deepest map is averaged over 1x1, 2x2, 3x3 and 6x6
    bins; each average passes a 1x1 convolution to a quarter of the channels, is enlarged and joins the map; a 3x3
    convolution to 512 channels times ``width`` and ``dropout`` of whole channels follow. With three channels and
    three classes it has 46,583,363 parameters. Unlike the paper, no auxiliary loss: the loop that compares networks
    has one for all. Sizes that 8 does not divide are padded inside.
    """

    def __init__(self, in_channels: int, out_channels: int, *, width: float = 1.0, dropout: float = 0.1) -> None:
        super().__init__()
        if not 0 <= dropout < 1:
            raise UserError(f"net.dropout: must be 0 or more and below 1 (found {dropout:g})")
        self.input = ImagenetInput(in_channels)
        self.encoder = ResNet(self.input.channels, width, STRIDE)
        deep = self.encoder.channels[-1]
        self.bins = nn.ModuleList(Bin(deep, deep // len(BINS), size) for size in BINS)
        middle = scaled(512, width)
        self.last = conv_bn_relu(deep + len(BINS) * (deep // len(BINS)), middle, 3)
        self.dropout = nn.Dropout2d(dropout)
        self.head = nn.Conv2d(middle, out_channels, 1)

    def forward(self, x_NCHW: Tensor) -> dict[str, Tensor]:
        """Return ``logits``."""
        H, W = x_NCHW.shape[2:]
        x = pad_to(x_NCHW, STRIDE)
        deep = self.encoder(self.input(x))[-1]
        joined = torch.cat([deep, *(one(deep) for one in self.bins)], 1)
        scores = self.head(self.dropout(self.last(joined)))
        logits = F.interpolate(scores, x.shape[2:], mode="bilinear", align_corners=True)
        return {"logits": logits[:, :, :H, :W]}


class Bin(nn.Module):
    """One level of the pyramid: averages over ``size`` x ``size`` bins, a 1x1 convolution, enlarged to the input.

    A single bin is spread before it is normalised: that changes nothing, and a batch of one slice has a variance then.
    """

    def __init__(self, in_channels: int, channels: int, size: int) -> None:
        super().__init__()
        self.size = size
        self.conv, *rest = conv_bn_relu(in_channels, channels, 1)
        self.normalise = nn.Sequential(*rest)

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, channels, h, w)."""
        y = self.conv(F.adaptive_avg_pool2d(x, self.size))
        if self.size == 1:
            return self.normalise(y.expand(-1, -1, *x.shape[2:]))  # type: ignore[no-any-return]
        return F.interpolate(self.normalise(y), x.shape[2:], mode="bilinear", align_corners=True)
