"""ICD: a classifier that also learns, from itself, a direction that parts each slice's lesion from its background."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from covidseg.nets.imagelevel import ImageLevel
from covidseg.nets.layers import pad_to, scaled

PLANNING = {
    "weights_mib": 421,
    "kept_bytes": 6600,
    "forward_bytes": 1330,
    "stride": 8,
    "encoder": "resnet38d",
    "outputs": {"parts": None},
}


class ICD(ImageLevel):
    """Intra-class discriminator (Fan et al., CVPR 2020, sections 3.2 and 3.3) over the encoder of the other rows.

    In: (N, in_channels, H, W) in 0..1. Out: ``logits`` (N, out_channels, 1, 1) of the class activation maps; ``parts``,
    a list of these maps and of the bottom-up scores, the features' share along one learned direction per class; and
    ``cam`` (N, out_channels, H/8, W/8), the top-down scores that learn the sign of the bottom-up ones (loss ``icd``).
    The published network is VGG-16; superpixels, which average the bottom-up scores there, are left out.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        width: float = 1.0,
        encoder: Literal["resnet38d", "resnet50"] = "resnet38d",
        init: Literal["imagenet", "random"] = "imagenet",
    ) -> None:
        super().__init__(in_channels, width, encoder, init)
        middle = scaled(1024, width)
        channels = self.encoder.channels[-1]
        self.fc = nn.Conv2d(channels, out_channels, 1, bias=False)
        self.norm = nn.BatchNorm2d(channels, affine=False)
        self.direction = nn.Conv2d(channels, out_channels, 1, bias=False)
        self.first, self.second = nn.Conv2d(channels, middle, 1), nn.Conv2d(middle, middle, 1)
        self.score = nn.Conv2d(channels + 2 * middle, out_channels, 1, bias=False)
        nn.init.xavier_uniform_(self.fc.weight)

    def forward(self, x_NCHW: Tensor) -> dict[str, Tensor | list[Tensor]]:
        """Return ``logits``, ``parts`` and ``cam``."""
        features = self.encoder(self.input(pad_to(x_NCHW, 8)))[-1]
        maps = self.fc(features)
        even = self.norm(features)
        bottom_up = F.conv2d(even.detach(), F.normalize(self.direction.weight, dim=1))
        first = F.relu(self.first(even))
        second = F.relu(self.second(first))
        top_down = self.score(torch.cat((even, first, second), 1))
        return {"logits": maps.mean((2, 3), keepdim=True), "parts": [maps, bottom_up], "cam": top_down}
