"""A fully convolutional discriminator: which pixels of a segmentation look like truth."""

from __future__ import annotations

import itertools

import torch.nn.functional as F
from torch import Tensor, nn

from covidseg.nets.layers import pad_to, scaled


class Discriminator(nn.Module):
    """The discriminator of AdvSemiSeg (Hung et al., BMVC 2018, section 3.1), which Jin et al. describe in section 3.1.

    In: (N, channels, H, W), the probabilities of a segmentation or the one-hot truth, background too. Out: logits
    (N, 1, H, W) of a pixel being truth. Five 4x4 convolutions of stride 2 (64, 128, 256, 512 and 1 channels times
    ``width``), leaky ReLU of 0.2 between them, enlarged bilinearly. With three channels it has 2,764,737 parameters.
    Sizes that 32 does not divide are padded inside.
    """

    def __init__(self, channels: int, width: float = 1.0) -> None:
        super().__init__()
        sizes = [channels, *(scaled(c, width) for c in (64, 128, 256, 512))]
        blocks = [nn.Sequential(nn.Conv2d(i, o, 4, 2, 1), nn.LeakyReLU(0.2)) for i, o in itertools.pairwise(sizes)]
        self.body = nn.Sequential(*blocks, nn.Conv2d(sizes[-1], 1, 4, 2, 1))

    def forward(self, p_NCHW: Tensor) -> Tensor:
        """Return logits (N, 1, H, W), float32."""
        H, W = p_NCHW.shape[2:]
        x = pad_to(p_NCHW, 32)
        logits = F.interpolate(self.body(x).float(), x.shape[2:], mode="bilinear", align_corners=False)
        return logits[:, :, :H, :W]
