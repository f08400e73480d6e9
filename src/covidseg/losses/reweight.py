"""Class weights from the pixels of a training set: rare classes count more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Losses = Mapping[str, Mapping[str, Any]]


def class_weights(pixels: Sequence[int]) -> list[float]:
    """Return w_c = 1 / (C P_c) of C foreground classes; P_c is class c's share of their pixels (SSA-Net, eq. 8).

    Background is no class here: with it both lesions would weigh more than 1, while the text wants the rarer one above
    1 and the other below. A class without pixels weighs 1.
    """
    total = sum(pixels)
    return [total / (len(pixels) * n) if n else 1.0 for n in pixels]


def reweights(losses: Losses) -> bool:
    """Return whether a loss wants class weights from the training set."""
    return any(given.get("reweight") for given in losses.values())


def resolved(losses: Losses, pixels: Sequence[int]) -> dict[str, dict[str, Any]]:
    """Return the losses with ``class_weights`` in place of ``reweight: true``; background weighs 1.

    ``pixels``: those of each foreground class in the training set of the day.
    """
    weights = {"class_weights": [1.0, *class_weights(pixels)]}
    return {
        name: {key: value for key, value in given.items() if key != "reweight"}
        | (weights if given.get("reweight") else {})
        for name, given in losses.items()
    }
