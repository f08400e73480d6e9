"""Equivariance loss: a slice and its smaller twin should give the same class activation maps."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from covidseg.base.errors import UserError

IGNORES_UNLABELLED = False
READS = ("views",)
HARDEST = 0.2  # share of places that the cross term counts


def equivariance(outputs: dict[str, Any], target: Tensor) -> Tensor:
    """Return SEAM's L_ER + L_ECR (Wang et al., CVPR 2020, eqs. 6 and 7) of the network's ``views``.

    ``views``: maps (N, 1 + K, h, w) in 0..1, background first, of the slice, as pixel correlation refined it, and both
    again of the twin, which is smaller. target: (N, 1, 1), the class of each slice; maps of absent classes are 0.
    L_ER is the mean absolute difference of slice and twin over the classes; L_ECR compares the refined map of each
    with the map of the other, over the fifth of places where they differ most. The release also draws the smallest
    values of the refined map to 0, which the paper does not have; that is left out.

    Raises UserError when the network returns no ``views``.
    """
    if "views" not in outputs:
        raise UserError("losses.equivariance: this network compares no views; use net seam, or switch the loss off")
    size = outputs["views"][2].shape[2:]
    classes = outputs["views"][0].shape[1] - 1
    values = torch.arange(1, classes + 1, device=target.device)
    present = (target.flatten(1)[:, :1] == values)[:, :, None, None].float()
    fitted = (F.interpolate(view.float(), size, mode="bilinear", align_corners=False) for view in outputs["views"])
    view, refined, twin, twin_refined = (_of_present(found, present) for found in fitted)
    same = (view[:, 1:] - twin[:, 1:]).abs().mean()
    return same + _hardest(twin.detach() - refined) + _hardest(view.detach() - twin_refined)


def _of_present(view: Tensor, present: Tensor) -> Tensor:
    """Return a map without the classes that its slice does not show; background is what the others leave."""
    shown = view[:, 1:] * present
    return torch.cat((1 - shown.amax(1, keepdim=True), shown), 1)


def _hardest(difference: Tensor) -> Tensor:
    flat = difference.abs().flatten(1)
    return flat.topk(max(1, int(HARDEST * flat.shape[1])), dim=1).values.mean()
