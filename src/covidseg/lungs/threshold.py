"""Classical lung masks: the large components of air inside the body, closed over vessels and lesions.

After the scheme of Hu et al. (2001, doi 10.1109/42.929615): threshold, connected components, smoothing.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from covidseg.data.canonical import U8
from covidseg.metrics.surface import bounding_box

AIR = -400  # HU below which tissue is aerated; healthy lung lies near -850, ground glass near -600
WINDOW = (-1250.0, 250.0)  # HU at 0 and 255, assumed of slices whose data set names no window
GAS = 60  # HU by which gas is darker than the median of the lungs
CLOSING = 8.0  # mm: vessels and small consolidations are taken in
TRACHEA = 0.002  # share of a slice below which an air component is airway, not lung
FIELD = 350.0  # mm: assumed width of the image when the spacing is unknown


def threshold(image: npt.NDArray, spacing: tuple[float, float, float], window: tuple[float, float] = WINDOW) -> U8:
    """Return a lung mask of 0/1, (S, H, W), of raw HU or of uint8 slices that show ``window`` (HU at 0 and at 255).

    ``spacing`` is (dz, dy, dx) in mm, NaN where unknown. Components are 3-D where the case has several slices.
    Pleural effusion and dense consolidation at the pleura stay outside: only air is seen.
    """
    from scipy import ndimage

    hu = image.astype(np.float32)
    if image.dtype == np.uint8:
        low, high = window
        hu = hu * ((high - low) / 255) + low
    air = hu < AIR
    body = np.stack([_body(~piece) for piece in air])
    inside = ndimage.binary_opening(air & body, _disk(1)[None])
    lung = _large(inside & ~_gas(hu, inside))
    dx = spacing[2] if np.isfinite(spacing[2]) else FIELD / image.shape[2]
    radius = max(1, round(CLOSING / dx))
    return np.stack([_close(piece, radius) for piece in lung]).astype(np.uint8)


def _body(tissue: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Return the largest piece of tissue in a slice with everything it encloses."""
    from scipy import ndimage

    opened = ndimage.binary_opening(tissue, _disk(1))
    labels, count = ndimage.label(opened)
    if not count:
        return np.zeros_like(tissue)
    # enclosed air counts: a thin chest wall has fewer pixels than the table below it
    filled = [ndimage.binary_fill_holes(labels == k) for k in _largest(labels, 3)]
    return max(filled, key=np.count_nonzero)


def _gas(hu: npt.NDArray[np.float32], inside: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Return the gas of airways, stomach and bowel: darker than lung, which holds blood, by more than the noise."""
    from scipy import ndimage

    if not inside.any():
        return inside
    smooth = ndimage.gaussian_filter(hu, (0, 1, 1))
    dark = inside & (smooth < np.median(hu[inside]) - GAS)
    core = ndimage.binary_opening(dark, _disk(2)[None])
    return ndimage.binary_dilation(core, _disk(2)[None], iterations=2) & inside


def _largest(labels: npt.NDArray, count: int) -> list[int]:
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    return [int(k) for k in np.argsort(-sizes, kind="stable")[:count] if sizes[k]]


def _large(inside: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Keep the air components that are large enough to be lung, and in volumes no more than the two largest."""
    from scipy import ndimage

    labels, count = ndimage.label(inside)
    if not count:
        return inside
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    keep = sizes >= TRACHEA * inside[0].size
    if len(inside) > 1:  # lungs are the largest pieces of air in a volume; bowel gas is smaller
        keep &= sizes >= 0.1 * sizes.max()
    return keep[labels]


def _close(mask: npt.NDArray[np.bool_], radius: int) -> npt.NDArray[np.bool_]:
    """Close a slice of the mask over vessels and fill what it encloses; nothing outside its bounding box changes."""
    from scipy import ndimage

    if not mask.any():
        return mask
    box = bounding_box(mask)
    distance = ndimage.distance_transform_edt(~np.pad(mask[box], radius + 1))
    grown = distance <= radius
    shrunk = ndimage.distance_transform_edt(grown) > radius
    inner = slice(radius + 1, -radius - 1)
    out = np.zeros_like(mask)
    out[box] = ndimage.binary_fill_holes(shrunk[inner, inner] | mask[box])
    return out


def _disk(radius: int) -> npt.NDArray[np.bool_]:
    y, x = np.ogrid[-radius : radius + 1, -radius : radius + 1]
    return x * x + y * y <= radius * radius
