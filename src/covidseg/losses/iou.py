"""Soft intersection over union."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from covidseg.losses.targets import channels, labelled, probabilities

IGNORES_UNLABELLED = True


def iou(outputs: dict[str, Any], target: Tensor) -> Tensor:
    """Return 1 - (I + 1) / (P + G - I + 1), sums over the batch, averaged over classes (Rahman and Wang 2016, eq. 5).

    I is the sum of p y, P and G those of the probabilities and the truth; the ones make two empty maps score 0. Pixels
    without a label are in none of the sums.
    """
    p_NKHW = probabilities(outputs["logits"]) * labelled(target)
    y_NKHW = channels(target, p_NKHW.shape[1])
    common, both = (p_NKHW * y_NKHW).sum((0, 2, 3)), (p_NKHW + y_NKHW).sum((0, 2, 3))
    return 1 - ((common + 1) / (both - common + 1)).mean()
