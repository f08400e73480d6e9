"""Self-attention loss: each encoder stage learns to look where the next deeper one looks."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from covidseg.base.errors import UserError

IGNORES_UNLABELLED = True  # it does not look at the target
READS = ("features",)


def self_attention(outputs: dict[str, Any], target: Tensor, *, reduction: Literal["mean", "sum"] = "mean") -> Tensor:
    """Return the attention distillation between neighbouring encoder maps (SSA-Net, eqs. 2-4; Hou et al. 2019).

    A map's attention is the sum of its squared channels; the deeper one is enlarged bilinearly to the size of the
    other; both become a spatial softmax; their squared differences are averaged over pixels and slices (``mean``,
    the released code) or summed over pixels and averaged over slices (``sum``). Pairs are summed. Gradients flow
    into both maps. The mean of two distributions over HW pixels is at most 2 / HW: small beside a Dice loss.

    Raises UserError when the network returns no ``features``.
    """
    if "features" not in outputs:
        raise UserError("losses.self_attention: this network returns no encoder features; switch the loss off (null)")
    attention = [feature.float().square().sum(1, keepdim=True) for feature in outputs["features"]]
    pairs = []
    for near, deep in pairwise(attention):
        deep = F.interpolate(deep, near.shape[2:], mode="bilinear", align_corners=False)
        difference = torch.softmax(near.flatten(1), 1) - torch.softmax(deep.flatten(1), 1)
        per_slice = difference.square()
        pairs.append((per_slice.mean(1) if reduction == "mean" else per_slice.sum(1)).mean())
    return torch.stack(pairs).sum()
