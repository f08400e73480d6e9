"""Structure loss: IoU and cross entropy that weigh the surroundings of edges, on every map a network supervises."""

from __future__ import annotations

from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from covidseg.base.errors import UserError
from covidseg.losses.targets import channels

IGNORES_UNLABELLED = False  # a pixel's weight needs the labels around it

REACH = 15  # pixels to each side: a window of 31


def structure(
    outputs: dict[str, Any], target: Tensor, *, bce: Literal["described", "released"] = "described"
) -> Tensor:
    """Return weighted IoU plus weighted binary cross entropy, summed over ``logits`` and ``side`` (Inf-Net, eqs. 4-6).

    A pixel g of the target weighs w = 1 + 5 |m - g|, m the mean of the 31x31 pixels round it, zeros beyond the
    border. With probabilities p and sums over a slice, IoU is 1 - (sum wpg + 1) / (sum w(p + g) - sum wpg + 1) and
    cross entropy sum w BCE / sum w; both are averaged over slices. ``bce: released``: the released code takes the
    plain mean of BCE over the batch, so its weights cancel. A network without ``side`` has one map.

    Raises UserError for more than one class.
    """
    maps = [outputs["logits"], *outputs.get("side", ())]
    if maps[0].shape[1] != 1:
        raise UserError(f"losses.structure: for one class only (found {maps[0].shape[1] - 1}); use dice")
    g_N1HW = channels(target, 1)
    w_N1HW = 1 + 5 * (_surroundings(g_N1HW) - g_N1HW).abs()
    return torch.stack([_one(m.float(), g_N1HW, w_N1HW, bce) for m in maps]).sum()


def _one(logits: Tensor, g: Tensor, w: Tensor, bce: str) -> Tensor:
    p = torch.sigmoid(logits)
    common, both = (w * p * g).sum((1, 2, 3)), (w * (p + g)).sum((1, 2, 3))
    iou = 1 - (common + 1) / (both - common + 1)
    entropy = F.binary_cross_entropy_with_logits(logits, g, reduction="none")
    if bce == "released":
        return iou.mean() + entropy.mean()
    return (iou + (w * entropy).sum((1, 2, 3)) / w.sum((1, 2, 3))).mean()


def _surroundings(g: Tensor) -> Tensor:
    """Return the mean over a window, rows and columns one after the other: 62 additions a pixel, not 961."""
    size = 2 * REACH + 1
    return F.avg_pool2d(F.avg_pool2d(g, (size, 1), 1, (REACH, 0)), (1, size), 1, (0, REACH))
