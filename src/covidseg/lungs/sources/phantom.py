"""A small U-Net that the pipeline trains itself on phantoms, so that the demo downloads nothing."""

from __future__ import annotations

from covidseg.lungs import Predict, Request

SOURCE = {"network": True, "weights": None, "run": "lungmask/phantom", "in_demo": "phantom", "any_scan": False}


def predictor(request: Request) -> Predict:
    """Return the trained network, which the request brings."""
    assert request.trained is not None, "a source with a run needs its model"
    return request.trained
