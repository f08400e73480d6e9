"""The published lung U-Net R231 (Hofmanninger et al., 2020)."""

from __future__ import annotations

from covidseg.lungs import Predict, Request, published

SOURCE = {
    "network": True,
    "weights": "https://github.com/JoHof/lungmask/releases/download/v0.0/unet_r231-d5d2fc3d.pth",
    "run": None,
    "in_demo": "phantom",
    "any_scan": True,
}


def predictor(request: Request) -> Predict:
    """Return the network with its published weights. Raises UserError when they cannot be had."""
    return published.predictor(str(SOURCE["weights"]), request)
