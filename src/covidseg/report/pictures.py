"""Pictures of scans beside the report: the slices of a case side by side in one file, masks as one bit a pixel.

A case of S slices stands in a grid of ``columns(S)`` columns, slice after slice by rows. A mask's file has such a grid
for each class, one below the other; where the mask is not, it is transparent, so that a page can colour and stack it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

U8 = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]
QUALITY = 90  # of JPEG: CT is only looked at here
MASK, TRUTH = (230, 60, 60), (255, 220, 60)  # RGB of thumbnails


def columns(slices: int) -> int:
    """Return how many slices stand side by side."""
    return math.ceil(math.sqrt(slices))


def sheet(tiles: Sequence[npt.NDArray]) -> npt.NDArray:
    """Return tiles (H, W) of one shape as one picture in a grid; the rest of its last row is zero."""
    across = columns(len(tiles))
    down = math.ceil(len(tiles) / across)
    height, width = tiles[0].shape
    out = np.zeros((down * height, across * width), tiles[0].dtype)
    for k, tile in enumerate(tiles):
        row, column = divmod(k, across)
        out[row * height : (row + 1) * height, column * width : (column + 1) * width] = tile
    return out


def tile(picture: npt.NDArray, k: int, slices: int, shape: tuple[int, int], plane: int = 0) -> npt.NDArray:
    """Return slice ``k`` of a picture that ``sheet`` made of so many, of its ``plane``-th grid; inverts ``sheet``."""
    across = columns(slices)
    row, column = divmod(k, across)
    row += plane * math.ceil(slices / across)
    height, width = shape
    return picture[row * height : (row + 1) * height, column * width : (column + 1) * width]


def write_ct(path: Path, slices: Sequence[U8]) -> None:
    """Write the slices of a case, uint8 (H, W), as one grey JPEG."""
    from PIL import Image

    Image.fromarray(sheet(slices)).save(path, quality=QUALITY)


def write_masks(path: Path, planes: Sequence[Sequence[Mask]]) -> None:
    """Write masks (H, W) by class and slice as one PNG of a bit a pixel, transparent outside."""
    from PIL import Image

    whole = np.vstack([sheet(plane) for plane in planes])
    Image.fromarray(whole).convert("1").save(path, transparency=0)


def read_masks(path: Path) -> Mask:
    """Return the picture of ``write_masks``."""
    from PIL import Image

    with Image.open(path) as image:
        return np.asarray(image.convert("1"), bool)


def thumbnail(path: Path, image: U8, truth: Mask, mask: Mask, side: int = 220) -> None:
    """Write a slice as a small PNG: the mask as a tint of red, the truth outlined in yellow."""
    from PIL import Image

    rgb = np.repeat(image[..., None], 3, axis=2).astype(np.float32)
    rgb[mask] = 0.55 * rgb[mask] + 0.45 * np.array(MASK, np.float32)
    rgb[outline(truth)] = TRUTH
    small = Image.fromarray(rgb.astype(np.uint8))
    scale = side / max(small.size)
    small.resize((round(small.width * scale), round(small.height * scale))).quantize(96).save(path)


def outline(mask: Mask) -> Mask:
    """Return the pixels of a mask that touch its outside, above, below or beside."""
    padded = np.pad(mask, 1)
    inner = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    return np.asarray(mask & ~inner)
