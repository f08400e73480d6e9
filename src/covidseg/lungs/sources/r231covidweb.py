"""The published lung U-Net R231CovidWeb (Hofmanninger et al., 2020), trained with COVID-19 scans too."""

from __future__ import annotations

from covidseg.lungs import Predict, Request, published

SOURCE = {
    "network": True,
    "weights": "https://github.com/JoHof/lungmask/releases/download/v0.0/unet_r231covid-0de78a7e.pth",
    "run": None,
    "in_demo": "phantom",
    "any_scan": True,
}


def predictor(request: Request) -> Predict:
    """Return the network with its published weights. Raises UserError when they cannot be had."""
    return published.predictor(str(SOURCE["weights"]), request)
