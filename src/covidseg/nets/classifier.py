"""A classifier of whole slices that can say where it looked: class activation maps, with spatial attention."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from covidseg.nets.imagelevel import ImageLevel
from covidseg.nets.layers import pad_to

PLANNING = {"weights_mib": 401, "kept_bytes": 6100, "forward_bytes": 1330, "stride": 8, "encoder": "resnet38d"}


class Classifier(ImageLevel):
    """Slice-level classifier with class activation maps (JIFS-210569, 2021, section 3.1; Zhou et al., CVPR 2016).

    In: (N, in_channels, H, W) in 0..1, any size; one channel becomes three with ImageNet's mean and deviation. Out:
    ``logits`` (N, out_channels, 1, 1), one per slice, and ``cam`` (N, out_channels, H/8, W/8), the maps whose mean
    over places the logits are: global average pooling before a linear layer without bias gives the same. ``attention``:
    the last map is weighed place by place before, by a 7x7 convolution of its mean and maximum over channels (CBAM's
    spatial attention; the paper states the idea, its equations are lost). ``encoder``: ResNet-38d, as in the paper, or
    ResNet-50. From ImageNet's weights (``init``) the encoder's batch normalisation stays frozen.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        width: float = 1.0,
        encoder: Literal["resnet38d", "resnet50"] = "resnet38d",
        init: Literal["imagenet", "random"] = "imagenet",
        attention: bool = True,
    ) -> None:
        super().__init__(in_channels, width, encoder, init)
        self.attention = nn.Conv2d(2, 1, 7, padding=3, bias=False) if attention else None
        self.fc = nn.Conv2d(self.encoder.channels[-1], out_channels, 1, bias=False)
        nn.init.xavier_uniform_(self.fc.weight)

    def forward(self, x_NCHW: Tensor) -> dict[str, Tensor]:
        """Return ``logits`` and ``cam``."""
        features = self.encoder(self.input(pad_to(x_NCHW, 8)))[-1]
        if self.attention is not None:
            seen = torch.cat((features.mean(1, keepdim=True), features.amax(1, keepdim=True)), 1)
            features = features * torch.sigmoid(self.attention(seen))
        cam = self.fc(features)
        return {"logits": cam.mean((2, 3), keepdim=True), "cam": cam}
