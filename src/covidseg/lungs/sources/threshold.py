"""Classical lung masks from Hounsfield units, see ``lungs.threshold``."""

from __future__ import annotations

import functools

from covidseg.lungs import Predict, Request
from covidseg.lungs import threshold as classical

SOURCE = {"network": False, "weights": None, "run": None, "in_demo": "threshold", "any_scan": True}


def predictor(request: Request) -> Predict:
    """Return the classical segmentation of slices that show the request's window."""
    return functools.partial(classical.threshold, window=request.window or classical.WINDOW)
