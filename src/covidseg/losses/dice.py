"""Dice loss."""

from __future__ import annotations

from typing import Any, Literal

from torch import Tensor

from covidseg.losses.targets import channels, labelled, probabilities

IGNORES_UNLABELLED = True


def dice(
    outputs: dict[str, Any], target: Tensor, *, smoothing: Literal["corrected", "released"] = "corrected"
) -> Tensor:
    """Return 1 - DSC of the probabilities, per slice and class, then averaged (SSA-Net, eq. 6).

    With intersection I, sums P and G: ``corrected`` is (2 I + 1) / (P + G + 1), 1 where both are empty. The released
    code has 2 (I + 1) / (P + G + 1), ``released``: its loss is -1 for an empty slice predicted empty. Pixels without a
    label are in none of the sums.
    """
    p_NKHW = probabilities(outputs["logits"]) * labelled(target)
    y_NKHW = channels(target, p_NKHW.shape[1])
    common = (p_NKHW * y_NKHW).sum((2, 3))
    both = p_NKHW.sum((2, 3)) + y_NKHW.sum((2, 3))
    extra = 1 if smoothing == "corrected" else 2
    return 1 - ((2 * common + extra) / (both + 1)).mean()
