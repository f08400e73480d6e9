"""Cross entropy, with class weights on request."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from covidseg.base.errors import UserError
from covidseg.losses.targets import UNLABELLED, labelled

IGNORES_UNLABELLED = True


def cross_entropy(
    outputs: dict[str, Any], target: Tensor, *, class_weights: tuple[float, ...] = (), reweight: bool = False
) -> Tensor:
    """Return -(1/n) sum_i w[y_i] log p_i[y_i] over the n pixels with a label (SSA-Net, eq. 8, with the minus it lacks).

    p is the sigmoid (one channel of logits) or the softmax. ``class_weights``: background first, then each
    foreground class; none means 1. The mean is over pixels, not over weights. ``reweight``: weights from the training
    set, which is not known here: the training puts ``class_weights`` in its place (``losses.resolved``). Raises
    UserError when the number of weights is not that of the classes, and for a ``reweight`` that is still there.
    A soft target y of one class counts for both: -(1/n) sum_i w_1 y_i log p_i + w_0 (1 - y_i) log(1 - p_i).
    """
    if reweight:
        raise UserError("losses.cross_entropy.reweight: this training method counts no classes; give class_weights")
    logits = outputs["logits"].float()
    if logits.shape[1] == 1:
        logits = torch.cat((torch.zeros_like(logits), logits), 1)
    if class_weights and len(class_weights) != logits.shape[1]:
        raise UserError(
            f"losses.cross_entropy.class_weights: expected {logits.shape[1]} numbers, background first "
            f"(found {len(class_weights)})"
        )
    weight = torch.tensor(class_weights, device=logits.device) if class_weights else None
    if target.is_floating_point():
        return F.cross_entropy(logits, torch.stack((1 - target, target), 1), weight, reduction="sum") / target.numel()
    loss = F.cross_entropy(logits, target.long(), weight, ignore_index=UNLABELLED, reduction="sum")
    return loss / labelled(target).sum().clamp(min=1)
