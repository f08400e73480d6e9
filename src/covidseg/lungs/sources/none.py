"""No lung masks: networks see whole slices."""

from __future__ import annotations

from covidseg.lungs import Request

SOURCE = {"network": False, "weights": None, "run": None, "in_demo": "none", "any_scan": False}


def predictor(request: Request) -> None:
    """Return None: no mask is made."""
