"""The convolutions of VGG-16, an encoder."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

from covidseg.nets.layers import scaled

STAGES = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))


class VGG(nn.Module):
    """VGG-16 (Simonyan and Zisserman, ICLR 2015, table 1, D), with the keys of the widely published ImageNet weights.

    In: (N, in_channels, H, W). Out: the maps of the five stages (64, 128, 256, 512, 512 channels times ``width``, at
    1/1 to 1/16), before the pooling that leads to the next; ``channels`` names their channels. ``pool``: max, as
    published, or average. ``norm: batch`` normalises after each convolution, as no published weights here do.
    """

    def __init__(
        self,
        in_channels: int,
        width: float = 1.0,
        pool: Literal["max", "average"] = "max",
        norm: Literal["none", "batch"] = "none",
    ) -> None:
        super().__init__()
        self.channels = [scaled(stage[-1], width) for stage in STAGES]
        layers: list[nn.Module] = []
        for stage in STAGES:
            for channels in stage:
                out_channels = scaled(channels, width)
                layers.append(nn.Conv2d(in_channels, out_channels, 3, padding=1))
                layers += [nn.BatchNorm2d(out_channels)] if norm == "batch" else []
                layers.append(nn.ReLU(inplace=True))
                in_channels = out_channels
            layers.append(nn.MaxPool2d(2) if pool == "max" else nn.AvgPool2d(2))
        self.features = nn.Sequential(*layers)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
                nn.init.zeros_(module.bias)  # type: ignore[arg-type]

    def forward(self, x_NCHW: Tensor) -> list[Tensor]:
        """Return the maps of the five stages, finest first."""
        x, maps = x_NCHW, []
        for layer in list(self.features)[:-1]:
            if isinstance(layer, nn.MaxPool2d | nn.AvgPool2d):
                maps.append(x)
            x = layer(x)
        return [*maps, x]
