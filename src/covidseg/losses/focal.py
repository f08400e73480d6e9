"""Focal loss."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from covidseg.base.errors import UserError
from covidseg.losses.targets import UNLABELLED, labelled

IGNORES_UNLABELLED = True


def focal(outputs: dict[str, Any], target: Tensor, *, gamma: float = 2.0, alpha: float = 0.25) -> Tensor:
    """Return the mean of -a (1 - p)^gamma log p over pixels with a label (Lin et al., ICCV 2017, eq. 5).

    p is the probability of the pixel's own class, a is ``alpha`` on a lesion and 1 - ``alpha`` on background. Raises
    UserError for a soft target, a negative ``gamma`` and an ``alpha`` outside 0..1.
    """
    if gamma < 0 or not 0 <= alpha <= 1:
        raise UserError(f"losses.focal: gamma must be 0 or more, alpha from 0 to 1 (found {gamma:g}, {alpha:g})")
    if target.is_floating_point():
        raise UserError("losses.focal: this training's targets are soft; use cross_entropy")
    logits = outputs["logits"].float()
    if logits.shape[1] == 1:
        logits = torch.cat((torch.zeros_like(logits), logits), 1)
    log_p = -F.cross_entropy(logits, target.long(), ignore_index=UNLABELLED, reduction="none")
    weight = torch.where(target == 0, 1 - alpha, alpha)
    known = labelled(target)[:, 0]
    return -(weight * (1 - log_p.exp()) ** gamma * log_p * known).sum() / known.sum().clamp(min=1)
