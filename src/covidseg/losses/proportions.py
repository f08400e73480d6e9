"""Proportions loss: the share of each class in a slice is what the truth says."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from covidseg.losses.targets import channels, labelled, probabilities

IGNORES_UNLABELLED = True


def proportions(outputs: dict[str, Any], target: Tensor) -> Tensor:
    """Return the squared differences of predicted and true class proportions (Jin et al. 2022, eq. 11).

    A class's proportion is the mean of its probability, or of its truth, over the labelled pixels of a slice. Squares
    are summed over background and classes and averaged over slices; the paper does not say how they are reduced. A
    slice without any label adds nothing.
    """
    known = labelled(target)
    p_NKHW = probabilities(outputs["logits"])
    difference = (p_NKHW - channels(target, p_NKHW.shape[1])) * known
    by_class = difference.sum((2, 3)) / known.sum((2, 3)).clamp(min=1)
    background = by_class.sum(1, keepdim=True)  # what the classes have too much, background has too little
    return torch.cat((by_class, background), 1).square().sum(1).mean()
