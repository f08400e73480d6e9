"""Logits as probabilities and label maps as channels, as the losses and the prediction need them."""

from __future__ import annotations

import torch
from torch import Tensor


def probabilities(logits: Tensor) -> Tensor:
    """Return the foreground probabilities (N, K, H, W), float32.

    One channel of logits is the sigmoid of a binary task (K = 1); more are the softmax of background and K classes.
    """
    logits = logits.float()
    return torch.sigmoid(logits) if logits.shape[1] == 1 else torch.softmax(logits, 1)[:, 1:]


def channels(target: Tensor, classes: int) -> Tensor:
    """Return the label map (N, H, W) as 0/1 float32 (N, classes, H, W), without background."""
    values = torch.arange(1, classes + 1, dtype=target.dtype, device=target.device)
    return (target[:, None] == values[:, None, None]).float()
