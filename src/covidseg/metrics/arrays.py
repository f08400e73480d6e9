"""Masks and probability maps that a caller hands over as arrays, checked before anything is measured."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from covidseg.base.errors import UserError
from covidseg.metrics.overlap import binarise, mean_absolute_error
from covidseg.metrics.pair import Mask, Pair

ROUNDING = 1e-6  # a softmax in single precision can exceed 1


def pair_of(
    truth: ArrayLike,
    prediction: ArrayLike,
    spacing: tuple[float, ...] | None,
    threshold: float,
    tolerance: float,
) -> Pair:
    """Return what the measures are computed from, of a slice (H, W) or a scan (S, H, W), see ``metrics.measure``.

    Raises UserError where the arrays are no masks or maps, or differ in shape, or ``spacing`` does not fit them.
    """
    true, prob = checked(truth, prediction)
    check_spacing(spacing, true.ndim)
    found = binarise(prob, threshold)
    parts = [_Counted(t, m) for t, m in zip(true, found, strict=True)] if true.ndim == 3 else None
    mae, steps = mean_absolute_error(prob, true), spacing or (1.0,) * true.ndim
    return Pair((true, found), steps, tolerance, mae, parts, in_mm=spacing is not None)


def checked(truth: ArrayLike, prediction: ArrayLike) -> tuple[Mask, NDArray[np.float64]]:
    """Return the true mask as bool and the prediction as probabilities, both (H, W) or (S, H, W).

    Raises UserError for any array that is not a mask of 0 and 1 or, as prediction, probabilities as float in 0..1.
    """
    true, prob = np.asarray(truth), np.asarray(prediction)
    if true.shape != prob.shape or true.ndim not in (2, 3) or not true.size:
        shapes = " and ".join("x".join(map(str, array.shape)) or "a number" for array in (true, prob))
        raise UserError(f"truth and prediction: expected two slices (H, W) or scans (S, H, W) of one shape ({shapes})")
    if not _is_mask(true):
        raise UserError("truth: expected a mask of 0 and 1; compare label maps class by class, as labels == 1")
    if prob.dtype.kind == "f":
        if not np.isfinite(prob).all() or prob.min() < 0 or prob.max() > 1 + ROUNDING:
            raise UserError("prediction: expected probabilities in 0..1, without NaN; apply a sigmoid to logits")
    elif not _is_mask(prob):
        raise UserError(
            "prediction: expected a mask of 0 and 1, or probabilities as float in 0..1; divide 8-bit by 255"
        )
    return true.astype(bool), prob.astype(np.float64)


def check_spacing(spacing: tuple[float, ...] | None, axes: int) -> None:
    """Raise UserError for a spacing, if any, that is not one positive number of mm per axis."""
    if spacing is not None and (len(spacing) != axes or not all(math.isfinite(s) and s > 0 for s in spacing)):
        raise UserError(f"spacing: expected {axes} numbers above 0, one per axis, in mm (found {spacing})")


def _is_mask(array: NDArray[Any]) -> bool:
    return array.dtype == np.bool_ or (array.dtype.kind in "iuf" and bool(np.isin(array, (0, 1)).all()))


class _Counted(dict[Callable[..., Any], Any]):
    """What is counted on a slice of a scan, by the function that counts, once it is asked for."""

    def __init__(self, truth: Mask, mask: Mask) -> None:
        super().__init__()
        self._masks = truth, mask

    def __missing__(self, counting: Callable[..., Any]) -> Any:
        self[counting] = counting(*self._masks)
        return self[counting]
