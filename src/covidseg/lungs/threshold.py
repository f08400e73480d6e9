"""Classical lung masks: the large components of air inside the body, closed over vessels and lesions.

After the scheme of Hu et al. (2001, doi 10.1109/42.929615): threshold, connected components, smoothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from covidseg.data.canonical import U8
from covidseg.metrics.surface import bounding_box

AIR = -400  # HU below which tissue is aerated; healthy lung lies near -850, ground glass near -600
WINDOW = (-1250.0, 250.0)  # HU at 0 and 255, assumed of slices whose data set names no window
SLAB = 16  # slices read at once
GAS = 60  # HU by which gas is darker than the median of the lungs
CLOSING = 8.0  # mm: vessels and small consolidations are taken in
TRACHEA = 0.002  # share of a slice below which an air component is airway, not lung
FIELD = 350.0  # mm: assumed width of the image when the spacing is unknown


def threshold(image: Any, spacing: tuple[float, float, float], window: tuple[float, float] = WINDOW) -> U8:
    """Return a lung mask of 0/1, (S, H, W), of raw HU or of uint8 slices that show ``window`` (HU at 0 and at 255).

    ``spacing`` is (dz, dy, dx) in mm, NaN where unknown. Components are 3-D where the case has several slices.
    Pleural effusion and dense consolidation at the pleura stay outside: only air is seen.
    """
    out = np.empty(image.shape, np.uint8)
    for place, mask in masks(image, spacing, window):
        out[place] = mask
    return out


def masks(
    image: Any, spacing: tuple[float, float, float], window: tuple[float, float] = WINDOW
) -> Iterator[tuple[slice, U8]]:
    """Yield (place along the slices, mask) of ``threshold``, slab by slab.

    ``image`` (S, H, W) is read by slices, three times, and may be an open HDF5 data set: what is kept between two
    passes is a bit per voxel, and the sizes of the pieces of air.
    """
    from scipy import ndimage

    shape = image.shape
    places = [slice(start, min(start + SLAB, shape[0])) for start in range(0, shape[0], SLAB)]
    inside: list[npt.NDArray[np.uint8]] = []  # a bit per voxel
    air = _Air()
    for place in places:
        raw = image[place]
        hu = _hu(raw, window)
        below = hu < AIR
        body = np.stack([_body(~piece) for piece in below])
        found = ndimage.binary_opening(below & body, _disk(1)[None])
        air.add(raw[found])
        inside.append(np.packbits(found))
    dark = air.median(window) - GAS
    pieces = _Pieces()
    for k, place in enumerate(places):
        found = _unpacked(inside[k], image[place].shape)
        found &= ~_gas(_hu(image[place], window), found, dark)
        inside[k] = np.packbits(found)
        pieces.add(found)
    keep = pieces.large(TRACHEA * shape[1] * shape[2], several=shape[0] > 1)
    dx = spacing[2] if np.isfinite(spacing[2]) else FIELD / shape[2]
    radius = max(1, round(CLOSING / dx))
    for k, place in enumerate(places):
        found = _unpacked(inside[k], (place.stop - place.start, *shape[1:]))
        lung = keep[k][ndimage.label(found)[0]]
        yield place, np.stack([_close(piece, radius) for piece in lung]).astype(np.uint8)


def _hu(raw: npt.NDArray, window: tuple[float, float]) -> npt.NDArray[np.float32]:
    hu = raw.astype(np.float32)
    if raw.dtype == np.uint8:
        low, high = window
        hu = hu * ((high - low) / 255) + low
    return hu


def _unpacked(bits: npt.NDArray[np.uint8], shape: tuple[int, ...]) -> npt.NDArray[np.bool_]:
    return np.unpackbits(bits, count=math.prod(shape)).astype(bool).reshape(shape)


class _Air:
    """The values of the air inside the body: how often each occurs, of 8-bit slices; else the values themselves."""

    def __init__(self) -> None:
        self._counts = np.zeros(256, np.int64)
        self._values: list[npt.NDArray] = []

    def add(self, raw: npt.NDArray) -> None:
        if raw.dtype == np.uint8:
            self._counts += np.bincount(raw, minlength=256)
        else:
            self._values.append(raw)

    def median(self, window: tuple[float, float]) -> float:
        """Return their median in HU; 0 where there is no air."""
        if any(raw.size for raw in self._values):
            return float(np.median(_hu(np.concatenate(self._values), window)))
        if not (count := int(self._counts.sum())):
            return 0.0
        middle = np.searchsorted(self._counts.cumsum(), [(count - 1) // 2, count // 2], side="right")
        return float(np.median(_hu(middle.astype(np.uint8), window)))


class _Pieces:
    """The pieces of air, which touch by faces, found slab by slab: those of two slabs that touch are one."""

    def __init__(self) -> None:
        self._sizes: list[npt.NDArray[np.int64]] = []  # of each slab, by label
        self._joined: list[npt.NDArray[np.int64]] = []
        self._count = 0
        self._last: npt.NDArray[np.int64] | None = None

    def add(self, found: npt.NDArray[np.bool_]) -> None:
        from scipy import ndimage

        labels, count = ndimage.label(found)
        first = _numbered(labels[0], self._count)
        if self._last is not None:
            both = (self._last > 0) & (first > 0)
            self._joined.append(np.unique(np.stack([self._last[both], first[both]]), axis=1))
        self._last = _numbered(labels[-1], self._count)
        self._sizes.append(np.bincount(labels.ravel(), minlength=count + 1)[1:])
        self._count += count

    def large(self, least: float, several: bool) -> list[npt.NDArray[np.bool_]]:
        """Return, by slab and label, whether a piece is large enough to be lung; label 0 is none.

        With ``several`` slices, lungs are the largest pieces of air: bowel gas is smaller.
        """
        from scipy.sparse import coo_array
        from scipy.sparse.csgraph import connected_components

        pairs = np.concatenate([np.zeros((2, 0), np.int64), *self._joined], axis=1) - 1
        links = coo_array((np.ones(pairs.shape[1]), pairs), shape=(self._count, self._count))
        _, piece = connected_components(links, directed=False)
        sizes = (
            np.bincount(piece, np.concatenate([np.zeros(0, np.int64), *self._sizes])) if self._count else np.zeros(0)
        )
        keep = sizes >= least
        if several and len(sizes):
            keep &= sizes >= 0.1 * sizes.max()
        out, at = [], 0
        for own in self._sizes:
            out.append(np.concatenate([[False], keep[piece[at : at + len(own)]]]))
            at += len(own)
        return out


def _numbered(labels: npt.NDArray, before: int) -> npt.NDArray[np.int64]:
    """Return labels counted on from those of the slabs before."""
    return np.where(labels > 0, labels.astype(np.int64) + before, 0)


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


def _gas(hu: npt.NDArray[np.float32], inside: npt.NDArray[np.bool_], dark: float) -> npt.NDArray[np.bool_]:
    """Return the gas of airways, stomach and bowel: darker than lung, which holds blood, by more than the noise."""
    from scipy import ndimage

    if not inside.any():
        return inside
    core = ndimage.binary_opening(inside & (ndimage.gaussian_filter(hu, (0, 1, 1)) < dark), _disk(2)[None])
    return ndimage.binary_dilation(core, _disk(2)[None], iterations=2) & inside


def _largest(labels: npt.NDArray, count: int) -> list[int]:
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    return [int(k) for k in np.argsort(-sizes, kind="stable")[:count] if sizes[k]]


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
