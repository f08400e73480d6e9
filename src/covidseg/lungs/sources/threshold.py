"""Classical lung masks from Hounsfield units, see ``lungs.threshold``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from covidseg.data.canonical import U8
from covidseg.lungs import Predict, Request
from covidseg.lungs import threshold as classical

SOURCE = {"network": False, "weights": None, "run": None, "in_demo": "threshold", "any_scan": True}


@dataclass(frozen=True)
class Classical:
    """The classical segmentation of slices that show a window, of a whole image or slab by slab."""

    window: tuple[float, float]

    def __call__(self, image: U8, spacing: tuple[float, float, float]) -> U8:
        """Return the mask (S, H, W) of an image."""
        return classical.threshold(image, spacing, self.window)

    def slabs(self, image: Any, spacing: tuple[float, float, float]) -> Iterator[tuple[slice, U8]]:
        """Yield (place along the slices, mask) of an image that is read by slices, as of an HDF5 data set."""
        return classical.masks(image, spacing, self.window)


def predictor(request: Request) -> Predict:
    """Return the classical segmentation of slices that show the request's window."""
    return Classical(request.window or classical.WINDOW)
