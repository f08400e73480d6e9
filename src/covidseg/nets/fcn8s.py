"""FCN-8s: VGG-16 turned into convolutions, read out at three depths."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from covidseg.base.errors import UserError
from covidseg.nets.layers import ImagenetInput, pad_to, scaled
from covidseg.nets.mean_field import MeanField
from covidseg.nets.vgg import VGG

PLANNING = {"weights_mib": 512, "kept_bytes": 2950, "forward_bytes": 680, "stride": 32, "encoder": None}


class FCN8s(nn.Module):
    """FCN-8s (Long et al., CVPR 2015, section 4.2; Shelhamer et al., TPAMI 2017).

    In: (N, in_channels, H, W) in 0..1, any size; one channel becomes three with ImageNet's mean and deviation, more
    enter as they are. Out: ``logits`` (N, out_channels, H, W). VGG-16 with its two hidden layers as convolutions of
    4096 channels times ``width``, each followed by ``dropout``; scores of it and of the fourth and third pooling are
    enlarged by learned transposed convolutions that begin as bilinear ones, and added up. Where the paper pads its
    input by 100 pixels and crops, the hidden 7x7 convolution is padded here, and sizes that 32 does not divide are.
    ``norm: batch`` adds batch normalisation after each convolution of VGG-16 and of the hidden layers: the paper has
    none, and without it the network diverges at learning rates that normalised ones bear. ``crf``: so many rounds of
    mean-field inference refine the scores (CRF-RNN, Zheng et al., ICCV 2015; 0: none).
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        width: float = 1.0,
        dropout: float = 0.5,
        norm: Literal["none", "batch"] = "none",
        crf: int = 0,
    ) -> None:
        super().__init__()
        if not 0 <= dropout < 1:
            raise UserError(f"net.dropout: must be 0 or more and below 1 (found {dropout:g})")
        hidden = scaled(4096, width)
        self.input = ImagenetInput(in_channels)
        self.encoder = VGG(self.input.channels, width, norm=norm)
        *_, c3, c4, c5 = self.encoder.channels
        self.pool = nn.MaxPool2d(2)
        self.hidden = nn.Sequential(
            nn.Conv2d(c5, hidden, 7, padding=3),
            *_norm(hidden, norm),
            nn.ReLU(inplace=True),
            nn.Dropout(dropout),
            nn.Conv2d(hidden, hidden, 1),
            *_norm(hidden, norm),
            nn.ReLU(inplace=True),
            nn.Dropout(dropout),
        )
        self.score = nn.ModuleList(nn.Conv2d(c, out_channels, 1) for c in (hidden, c4, c3))
        for module in (*self.hidden, *self.score):
            if isinstance(module, nn.Conv2d):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)  # type: ignore[arg-type]
        self.enlarge = nn.ModuleList(_bilinear(out_channels, factor) for factor in (2, 2, 8))
        self.crf = MeanField(crf) if crf else None

    def forward(self, x_NCHW: Tensor) -> dict[str, Tensor]:
        """Return ``logits``."""
        H, W = x_NCHW.shape[2:]
        *_, f3, f4, f5 = (self.pool(f) for f in self.encoder(self.input(pad_to(x_NCHW, 32))))
        deepest, *others = (score(f) for score, f in zip(self.score, (self.hidden(f5), f4, f3), strict=True))
        twice, again, eightfold = self.enlarge
        scores = again(twice(deepest) + others[0]) + others[1]
        logits = eightfold(scores)[:, :, :H, :W]
        return {"logits": logits if self.crf is None else self.crf(logits, x_NCHW)}


def _norm(channels: int, norm: str) -> list[nn.Module]:
    return [nn.BatchNorm2d(channels)] if norm == "batch" else []


def _bilinear(channels: int, factor: int) -> nn.ConvTranspose2d:
    """Return a transposed convolution that enlarges each channel bilinearly, to be trained further."""
    conv = nn.ConvTranspose2d(channels, channels, 2 * factor, factor, factor // 2, bias=False)
    rise = (torch.arange(2 * factor) + 0.5) / factor
    line = torch.minimum(rise, 2 - rise)
    with torch.no_grad():
        conv.weight.copy_(torch.eye(channels)[:, :, None, None] * torch.outer(line, line))
    return conv
