"""The intra-class discriminator's loss: part each lesion slice's places in two, and learn which part is lesion."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from covidseg.base.errors import UserError

IGNORES_UNLABELLED = False
READS = ("parts",)
SURE = 0.2  # of a slice's largest score on each side: places below teach nothing


def icd(outputs: dict[str, Any], target: Tensor, *, bottom_up: float = 10.0) -> Tensor:
    """Return the loss of the bottom-up and the top-down discriminator (Fan et al., CVPR 2020, eqs. 3 and 6).

    The network's ``parts`` are class activation maps and bottom-up scores s, (N, K, h, w) each; its ``cam`` the
    top-down scores. target: (N, 1, 1), the class of each slice; only slices of a class teach it. Bottom up, the
    direction of the features is learned along which a slice's places differ most: -``bottom_up`` / 2 times the mean of
    s squared. Top down, binary cross entropy teaches ``cam`` the side on which the activation maps are larger, over
    places whose score is above ``SURE`` of the largest of its side. The release decides the side by a running mean
    over batches; here it is that of the batch.

    Raises UserError when the network returns no ``parts``.
    """
    if "parts" not in outputs:
        raise UserError("losses.icd: this network parts no slices; use net icd, or switch the loss off")
    maps, scores = (part.float() for part in outputs["parts"])
    values = torch.arange(1, scores.shape[1] + 1, device=target.device)
    present = (target.flatten(1)[:, :1] == values)[:, :, None, None].float()
    direction = -0.5 * bottom_up * (scores.square() * present).mean((2, 3)).mean()
    with torch.no_grad():
        above, below = _mean(maps, present * (scores > 0)), _mean(maps, present * (scores < 0))
        signed = scores * torch.where(above >= below, 1.0, -1.0)[None, :, None, None]
        highest, lowest = signed.amax((2, 3), keepdim=True), signed.amin((2, 3), keepdim=True)
        share = signed.clamp(min=0) / highest.clamp(min=1e-5) + signed.clamp(max=0) / (-lowest).clamp(min=1e-5)
        sure = present * (share.abs() > SURE)
    each = F.binary_cross_entropy_with_logits(outputs["cam"].float(), (share > 0).float(), reduction="none")
    return direction + (each * sure).mean()  # type: ignore[no-any-return]


def _mean(maps: Tensor, where: Tensor) -> Tensor:
    """Return the mean over some places of the positive part of maps, per class."""
    return (maps.clamp(min=0) * where).sum((0, 2, 3)) / where.sum((0, 2, 3)).clamp(min=1)
