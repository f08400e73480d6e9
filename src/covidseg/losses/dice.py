"""Dice loss."""

from __future__ import annotations

from typing import Any, Literal

from torch import Tensor

from covidseg.losses.targets import channels, labelled, probabilities

IGNORES_UNLABELLED = True


def dice(
    outputs: dict[str, Any],
    target: Tensor,
    *,
    smoothing: Literal["corrected", "released"] = "corrected",
    over: Literal["slice", "batch"] = "slice",
    squares: bool = False,
) -> Tensor:
    """Return 1 - DSC of the probabilities, per slice and class, then averaged (SSA-Net, eq. 6).

    With intersection I, sums P and G: ``corrected`` is (2 I + 1) / (P + G + 1), 1 where both are empty. The released
    code has 2 (I + 1) / (P + G + 1), ``released``: its loss is -1 for an empty slice predicted empty. Pixels without a
    label are in none of the sums.

    ``over: batch`` sums over all slices of a batch instead of each; ``squares`` sums the squares of probabilities and
    truth in the denominator (Milletari et al. 2016, V-Net, section 3), both as SCOAT-Net's eq. 7 has it.
    """
    p_NKHW = probabilities(outputs["logits"]) * labelled(target)
    y_NKHW = channels(target, p_NKHW.shape[1])
    axes = (2, 3) if over == "slice" else (0, 2, 3)
    common = (p_NKHW * y_NKHW).sum(axes)
    both = p_NKHW.square().sum(axes) + y_NKHW.square().sum(axes) if squares else p_NKHW.sum(axes) + y_NKHW.sum(axes)
    extra = 1 if smoothing == "corrected" else 2
    return 1 - ((2 * common + extra) / (both + 1)).mean()
