"""Mean absolute error of the probabilities."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from covidseg.losses.targets import channels, labelled, probabilities

IGNORES_UNLABELLED = True


def mae(outputs: dict[str, Any], target: Tensor) -> Tensor:
    """Return the mean of |p - y| over classes and pixels with a label (Willmott and Matsuura 2005; L1)."""
    p_NKHW = probabilities(outputs["logits"])
    known = labelled(target)
    error = ((p_NKHW - channels(target, p_NKHW.shape[1])).abs() * known).sum()
    return error / (known.sum() * p_NKHW.shape[1]).clamp(min=1)
