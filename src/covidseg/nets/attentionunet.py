"""Attention U-Net: a U-Net whose skips pass attention gates."""

from __future__ import annotations

from covidseg.nets.attention import AttentionGate
from covidseg.nets.grid import double
from covidseg.nets.ushape import UShape, nearest_and_convolution

PLANNING = {"weights_mib": 133, "kept_bytes": 7950, "forward_bytes": 1810, "stride": 16, "encoder": None}


class AttentionUNet(UShape):
    """Attention U-Net (Oktay et al., MIDL 2018, figure 1), in 2-D.

    In: (N, in_channels, H, W), any size. Out: ``logits`` (N, out_channels, H, W), and ``attention``, the gates' maps
    by the row of the skip (``3`` the deepest), each (N, 1, h, w) in 0..1. Five levels of 64 to 1024 channels times
    ``width``, two 3x3 convolutions with batch normalisation each. A level is enlarged (nearest neighbour and a 3x3
    convolution) and opens the gate of the skip, whose inner width is half of its channels; gated skip and enlarged
    map are joined. With three channels in and one out it has the 34,878,573 parameters of the widely used PyTorch
    version, whose gates, unlike the paper's, work at the skip's size. No deep supervision. Sizes that 16 does not
    divide are padded inside.
    """

    def __init__(self, in_channels: int, out_channels: int, *, width: float = 1.0) -> None:
        super().__init__(
            in_channels, out_channels, width, double, nearest_and_convolution, lambda o: AttentionGate(o, o, o // 2)
        )
