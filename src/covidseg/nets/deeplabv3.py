"""DeepLabV3: dilated convolutions at several rates over a residual encoder."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

from covidseg.nets.deeplabv3plus import OnPyramid, resize
from covidseg.nets.layers import conv_bn_relu, pad_to, scaled

PLANNING = {"weights_mib": 152, "kept_bytes": 4100, "forward_bytes": 580, "stride": 16, "encoder": None}


class DeepLabV3(OnPyramid):
    """DeepLabV3 (Chen et al., arXiv 1706.05587, figure 5) over ResNet-50.

    In: (N, in_channels, H, W) in 0..1, any size; one channel becomes three with ImageNet's mean and deviation, more
    enter as they are. Out: ``logits`` (N, out_channels, H, W). ``output_stride``: the encoder's deepest map is this
    many times smaller than the input; later stages are dilated instead of strided. ``rates``: dilations of the three
    3x3 branches of the pyramid of 256 channels times ``width``; none given: 6, 12 and 18 at stride 16, twice that at
    stride 8. A 3x3 convolution follows, and the scores are enlarged bilinearly. With 21 classes and three channels it
    has the 39,638,869 parameters of torchvision's deeplabv3_resnet50 without its auxiliary head. Unlike there, no
    dropout.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        width: float = 1.0,
        output_stride: Literal[8, 16] = 16,
        rates: tuple[float, ...] = (),
    ) -> None:
        super().__init__(in_channels, width, output_stride, rates, dilated)
        middle = scaled(256, width)
        self.last = conv_bn_relu(middle, middle, 3)
        self.head = nn.Conv2d(middle, out_channels, 1)

    def forward(self, x_NCHW: Tensor) -> dict[str, Tensor]:
        """Return ``logits``."""
        H, W = x_NCHW.shape[2:]
        x = pad_to(x_NCHW, self.output_stride)
        deep = self.pyramid(self.encoder(self.input(x))[-1])
        return {"logits": resize(self.head(self.last(deep)), x.shape[2:])[:, :, :H, :W]}


def dilated(in_channels: int, out_channels: int, rate: int) -> nn.Sequential:
    """Return a dilated 3x3 convolution of all channels, batch normalisation and ReLU."""
    conv = nn.Conv2d(in_channels, out_channels, 3, 1, rate, rate, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(out_channels), nn.ReLU(inplace=True))
