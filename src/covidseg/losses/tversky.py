"""Tversky loss, and its logarithm."""

from __future__ import annotations

from typing import Any, Literal

from torch import Tensor

from covidseg.losses.targets import channels, labelled, probabilities

IGNORES_UNLABELLED = True
SMOOTHING = 0.5  # with alpha = beta = 0.5 the index is then the smoothed DSC of ``dice``


def tversky(
    outputs: dict[str, Any],
    target: Tensor,
    *,
    alpha: float = 0.3,
    beta: float = 0.7,
    log: bool = False,
    over: Literal["slice", "batch"] = "slice",
) -> Tensor:
    """Return 1 - TI, or -log TI, of the probabilities, averaged over classes (Salehi et al., MLMI 2017, eq. 2).

    TI = (TP + 0.5) / (TP + alpha FP + beta FN + 0.5): ``alpha`` weighs what is marked too much, ``beta`` what is
    missed. The sums run over each slice, then the loss is averaged over slices, or ``over`` the batch. Pixels without a
    label are in none of the sums. The logarithm is that of the attention fusion paper (JIFS-210569, eq. 19).
    """
    p_NKHW = probabilities(outputs["logits"]) * labelled(target)
    y_NKHW = channels(target, p_NKHW.shape[1])
    axes = (2, 3) if over == "slice" else (0, 2, 3)
    found, there, both = p_NKHW.sum(axes), y_NKHW.sum(axes), (p_NKHW * y_NKHW).sum(axes)
    index = (both + SMOOTHING) / (both + alpha * (found - both) + beta * (there - both) + SMOOTHING)
    return (-index.log() if log else 1 - index).mean()
