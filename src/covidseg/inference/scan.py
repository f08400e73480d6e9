"""Predicting one whole scan, block by block, and the volumes that its mask encloses.

The masks of a run's own scans (``inference.masks``) and the verb ``predict`` (``inference.apply``) both go this way.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from covidseg.data.anatomy import is_lesion
from covidseg.data.canonical import U8
from covidseg.data.tensors import Window, crop_window, fit, resize
from covidseg.metrics.overlap import label_map

if TYPE_CHECKING:
    from torch import nn

    from covidseg.schema import RunSpec

BLOCK = 32  # slices predicted at once: probability maps of a thin-slice volume would fill the memory
Cut = Callable[[int], tuple[U8, U8]]  # a network's input size -> images and lung masks (n, size, size)
Predictor = Callable[[Cut], U8]  # to 8-bit probabilities (n, K, size, size)


@dataclass(frozen=True)
class Member:
    """One trained model of an ensemble; ``guide`` is the model whose map is its prior channel."""

    model: nn.Module
    spec: RunSpec
    device: str
    guide: Member | None = None

    def __call__(self, cut: Cut) -> U8:
        """Return the 8-bit probabilities (n, K, size, size) of a block of slices."""
        from covidseg.train.predict import predict

        size = self.spec.input.size
        prior = None if self.guide is None else [resize(map_, (size, size)) for map_ in self.guide(cut)[:, 0]]
        return predict(self.model, *cut(size), self.spec, self.device, prior)


def predicted(
    image: U8, lung: U8 | None, crop: int | None, spec: RunSpec, members: Sequence[Predictor], maps: U8 | None = None
) -> U8:
    """Return the class numbers of a whole scan, (S, H, W): 0 background, 1..K.

    image: 8-bit slices (S, H, W); lung: their 0/1 masks, or None; crop: the side of the window round the lungs that
    the network sees. The mean probability of the ``members`` decides. Slices are cropped and resized as for training,
    and the maps enlarged back as for the scores. ``maps``, uint8 (K, S, H, W), receives these maps where it is given.
    """
    size = spec.input.size
    window = crop_window(image.shape, lung, crop)
    out = np.zeros(image.shape, np.uint8)
    for start in range(0, len(image), BLOCK):
        block = range(start, min(start + BLOCK, len(image)))
        cut = _cut(image, lung, window, block)
        total = np.zeros((len(block), len(spec.classes), size, size), np.uint32)
        for member in members:
            total += member(cut)
        mean = ((total + len(members) // 2) // len(members)).astype(np.uint8)
        for k, maps_KHW in zip(block, mean, strict=True):
            grown = enlarged(maps_KHW, window)
            out[k] = window.paste(label_map(grown), (image.shape[1], image.shape[2]))
            if maps is not None:
                for number, map_ in enumerate(grown):
                    maps[number, k] = window.paste(map_, (image.shape[1], image.shape[2]))
    return out


def _cut(image: U8, lung: U8 | None, window: Window, block: range) -> Cut:
    @functools.cache  # all members ask for the same
    def cut(size: int) -> tuple[U8, U8]:
        pairs = ((image, "image"), (lung, "lung"))
        x, mask = (np.stack([fit(array, k, window, size, key) for k in block]) for array, key in pairs)
        return x, mask

    return cut


def enlarged(maps_KHW: U8, window: Window) -> U8:
    """Return a slice's probability maps (K, h, w) at the size of the window that the network saw."""
    return np.stack([resize(map_, (window.height, window.width)) for map_ in maps_KHW])


def volumes(found: U8, lung: U8 | None, truth: U8 | None, spacing: Any, classes: Sequence[str]) -> dict[str, Any]:
    """Return a scan's volumes in ml and the share of its lungs that is lesion in percent; None with the reason.

    ``found`` and ``truth`` hold class numbers, ``lung`` 0/1, all (S, H, W); ``spacing`` is (dz, dy, dx) in mm. Lesion
    is every class that names no part of the body; the share counts only what lies inside the lungs. Where no class is
    a lesion, each class has its true volume beside it, and nothing is said of lesions.
    """
    voxel = float(np.prod(np.asarray(spacing, float))) / 1000
    lesions = [k for k, name in enumerate(classes, 1) if is_lesion(name)]
    known = bool(np.isfinite(voxel))

    def ml(voxels: npt.NDArray[np.bool_] | None) -> float | None:
        return round(np.count_nonzero(voxels) * voxel, 4) if known and voxels is not None else None

    each = {f"ml_{name}": ml(found == k) for k, name in enumerate(classes, 1)}
    if not lesions:
        true = {f"true_ml_{n}": None if truth is None else ml(truth == k) for k, n in enumerate(classes, 1)}
        return {**each, **true, "empty_because": "" if known else "spacing unknown"}
    counts = np.zeros(256, bool)
    counts[lesions] = True
    lesion, inside = counts[found], None if lung is None else lung > 0
    share = None
    if known and inside is not None and inside.any():
        share = round(100 * np.count_nonzero(lesion & inside) / np.count_nonzero(inside), 3)
    reasons = {
        "spacing unknown": not known,
        "no lung masks": lung is None,
        "no lung found": inside is not None and not inside.any(),
    }
    return {
        **each,
        "lesion_ml": ml(lesion),
        "true_lesion_ml": None if truth is None else ml(counts[truth]),
        "lung_ml": ml(inside),
        "lesion_in_lung_percent": share,
        "empty_because": "; ".join(reason for reason, holds in reasons.items() if holds),
    }


def largest_region(found: U8) -> int:
    """Return the voxels of the largest region of foreground (S, H, W) whose voxels touch by faces; 0 where none is."""
    from scipy import ndimage

    from covidseg.metrics.surface import bounding_box

    box = bounding_box(found > 0)
    regions, count = ndimage.label(found[box] > 0)
    return int(np.bincount(regions.ravel())[1:].max()) if count else 0
