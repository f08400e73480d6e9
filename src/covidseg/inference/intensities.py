"""Checks that a scan's values suit a model: Hounsfield units, or 8-bit slices like its training data."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from covidseg.base.errors import UserError
from covidseg.data.canonical import HU_BELOW, U8, to_8bit
from covidseg.inference.model import Intensities

SAMPLE = 200_000  # voxels that are looked at beside the extremes
AERATED = 0.005  # least share of a chest CT's voxels that are air or lung
LABELS = 16  # an image with no more values than this is a mask


def to_input(
    image: npt.NDArray[Any], window: tuple[float, float] | None, learned: Intensities, hu: bool | None = None
) -> U8:
    """Return a scan (S, H, W) as the 8-bit slices that the model sees.

    ``hu``: known to be Hounsfield units, as of DICOM. Raises UserError, saying what the values look like, when they are
    neither Hounsfield units nor 8-bit slices as the model learned them.
    """
    low, high = float(image.min()), float(image.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        raise UserError("NaN or infinite voxels; repair the file")
    some = image.reshape(-1)[:: max(1, image.size // SAMPLE)]
    span = f"values from {low:g} to {high:g}"
    if hu or low < HU_BELOW:
        share = float(np.mean(some < HU_BELOW))
        if share < AERATED:
            raise UserError(f"{span} hold next to no air or lung: no chest CT in HU; check the file")
        if window is None:
            raise UserError(f"{span} are HU, and this model was trained on 8-bit slices; give it such slices")
        return to_8bit(image, window, "scan", hu=True)
    if problem := _unlike(low, high, some):
        raise UserError(f"{span} {problem}")
    if learned == "hu":
        raise UserError(
            f"{span} look like 8-bit grey, and this model was trained on HU; give it the CT itself, not a picture"
        )
    return to_8bit(image, window, "scan", hu=False)


def _unlike(low: float, high: float, some: npt.NDArray[Any]) -> str:
    """Return what values that are no HU look like, where they are no 8-bit slices either; else nothing."""
    if low == high:
        return "are all the same: an empty image; check the file"
    if high <= 1 and low >= 0:
        return "look like a mask, or slices scaled to 0..1; give the CT itself"
    if low < 0 and high < 30:
        return "look normalised (mean 0, deviation 1); give the CT in HU"
    if low >= -1 and high <= 256:
        if high <= LABELS and np.all(some == np.rint(some)):
            return "look like the labels of a mask; give the CT itself"
        return ""
    if low >= 0 and high > 600:
        return "look like HU + 1024, the rescale intercept being lost; subtract 1024"
    return "are neither HU nor 8-bit slices; give the CT in HU"
