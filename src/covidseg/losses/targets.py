"""Logits as probabilities and label maps as channels, as the losses and the prediction need them.

A target of 255 means that the pixel has no label: it counts in no loss and in no score.
"""

from __future__ import annotations

import torch
from torch import Tensor

from covidseg.base.labels import UNLABELLED as UNLABELLED


def probabilities(logits: Tensor) -> Tensor:
    """Return the foreground probabilities (N, K, H, W), float32.

    One channel of logits is the sigmoid of a binary task (K = 1); more are the softmax of background and K classes.
    """
    logits = logits.float()
    return torch.sigmoid(logits) if logits.shape[1] == 1 else torch.softmax(logits, 1)[:, 1:]


def label_map(p_NKHW: Tensor) -> Tensor:
    """Return the most probable of background and K classes, (N, H, W): 0 background, 1..K the classes.

    Background has what the foreground probabilities leave of 1. Ties go as in ``metrics.overlap.label_map``; with one
    class this is its probability >= 0.5.
    """
    best, which = p_NKHW.max(1)
    return torch.where(best >= 1 - p_NKHW.sum(1), 1 + which, 0)


def channels(target: Tensor, classes: int) -> Tensor:
    """Return the label map (N, H, W) as 0/1 float32 (N, classes, H, W), without background.

    A pixel without a label is 0 in all. A soft target, float32, is the probability of the one class already.
    """
    if target.is_floating_point():
        return target[:, None]
    values = torch.arange(1, classes + 1, dtype=target.dtype, device=target.device)
    return (target[:, None] == values[:, None, None]).float()


def labelled(target: Tensor) -> Tensor:
    """Return where a target (N, H, W) has a label, as bool (N, 1, H, W); a soft target has one everywhere."""
    known = torch.ones_like(target, dtype=torch.bool) if target.is_floating_point() else target != UNLABELLED
    return known[:, None]
