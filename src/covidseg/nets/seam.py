"""SEAM: class activation maps that have to agree with those of the slice in a smaller size."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from covidseg.nets.imagelevel import ImageLevel
from covidseg.nets.layers import pad_to, scaled

PLANNING = {
    "weights_mib": 402,
    "kept_bytes": 6600,
    "forward_bytes": 1330,
    "stride": 8,
    "encoder": "resnet38d",
    "outputs": {"views": None},
}
TWIN = 0.3  # size of the second, smaller slice


class SEAM(ImageLevel):
    """Self-supervised equivariant attention (Wang et al., CVPR 2020, figure 2).

    In: (N, in_channels, H, W) in 0..1. Out: ``logits`` (N, out_channels, 1, 1); ``cam`` (N, out_channels, H/8, W/8),
    the map as pixel correlation refined it, scaled so that the background's share is taken off; and in training
    ``views``, a list of (map, refined) of the slice and of its twin of 0.3 times the size, each with background first,
    (N, 1 + out_channels, h, w) in 0..1: the loss ``equivariance`` compares them. Pixel correlation has 64, 128 and 192
    channels times ``width``, and its gradients do not reach the encoder. The released code also learns the class from
    the twin; here that is left out.
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
        third, fourth, all_ = (scaled(c, width) for c in (64, 128, 192))
        *_, c4, c5, c6 = self.encoder.channels
        self.fc = nn.Conv2d(c6, out_channels, 1, bias=False)
        self.third, self.fourth = nn.Conv2d(c4, third, 1, bias=False), nn.Conv2d(c5, fourth, 1, bias=False)
        self.join = nn.Conv2d(third + fourth + self.input.channels, all_, 1, bias=False)
        nn.init.xavier_uniform_(self.fc.weight)
        nn.init.xavier_uniform_(self.join.weight, gain=4)

    def forward(self, x_NCHW: Tensor) -> dict[str, Tensor | list[Tensor]]:
        """Return ``logits`` and ``cam``, and in training ``views``."""
        x = self.input(pad_to(x_NCHW, 8))
        scores, view, refined = self._view(x)
        outputs: dict[str, Tensor | list[Tensor]] = {
            "logits": scores.mean((2, 3), keepdim=True),
            "cam": refined[:, 1:] - refined[:, :1],
        }
        if self.training:
            side = [max(16, round(TWIN * length)) for length in x.shape[2:]]
            twin = F.interpolate(x, side, mode="bilinear", align_corners=False)
            _, small, small_refined = self._view(twin)
            outputs["views"] = [view, refined, small, small_refined]
        return outputs

    def _view(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the scores, their map with background in 0..1, and the map that pixel correlation makes of it."""
        *_, f4, f5, f6 = self.encoder(x)
        scores = self.fc(f6)
        view = with_background(scores)
        size = f5.shape[2:]
        shown = F.interpolate(x, size, mode="bilinear", align_corners=False)
        found = [F.relu(self.third(F.adaptive_avg_pool2d(f4.detach(), size))), F.relu(self.fourth(f5.detach()))]
        features = F.normalize(self.join(torch.cat((shown, *found), 1)).flatten(2), dim=1)
        alike = F.relu(features.transpose(1, 2) @ features)
        alike = alike / (alike.sum(1, keepdim=True) + 1e-5)
        given = F.interpolate(view.detach(), size, mode="bilinear", align_corners=False)
        return scores, view, (given.flatten(2) @ alike).unflatten(2, size)


def with_background(scores: Tensor) -> Tensor:
    """Return scores (N, K, h, w) over their maximum in 0..1, behind what they leave of 1 as background."""
    positive = F.relu(scores.float())
    share = positive / (positive.amax((2, 3), keepdim=True) + 1e-5)
    return torch.cat((1 - share.amax(1, keepdim=True), share), 1)
