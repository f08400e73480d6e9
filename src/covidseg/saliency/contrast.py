"""Classical saliency: grey values that differ from most others of the slice, in the middle more than at the border."""

from __future__ import annotations

import numpy as np

from covidseg.data.canonical import U8

CENTRE = 0.5  # deviation of the Gaussian round the middle, as a share of the side


def contrast(image: U8) -> U8:
    """Return the saliency (H, W), 0 to 255, of a slice uint8 (H, W).

    A grey value's saliency is its mean distance to those of all pixels (Cheng et al., CVPR 2011, eq. 4, for one
    channel), times a Gaussian round the middle of the slice, stretched to 0..255. A slice of one grey value has none.
    """
    values = np.arange(256.0)
    shares = np.bincount(image.ravel(), minlength=256) / image.size
    distances = np.abs(values[:, None] - values) @ shares
    rows, columns = (np.linspace(-1, 1, n) if n > 1 else np.zeros(1) for n in image.shape)
    middle = np.exp(-(rows[:, None] ** 2 + columns**2) / (2 * (2 * CENTRE) ** 2))
    found = distances[image] * middle
    low, high = found.min(), found.max()
    if not distances[image].any() or high == low:
        return np.zeros(image.shape, np.uint8)
    return np.rint((found - low) / (high - low) * 255).astype(np.uint8)
