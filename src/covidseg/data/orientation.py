"""Voxel axes: from a NIfTI file's own order to the store's, and back.

The store's axes are (slice, y, x): slices from foot to head, y from front (anterior) to back (posterior), x from the
patient's right to left, which is how radiologists look at an axial slice.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from covidseg.base.errors import UserError

STORE = ("S", "P", "L")  # the direction in which each axis of the store grows
_OPPOSITE = {"L": "R", "R": "L", "P": "A", "A": "P", "S": "I", "I": "S"}


def _plan(axcodes: Sequence[str]) -> tuple[list[int], list[bool]]:
    """Return for each axis of the store the file's axis and whether it is flipped."""
    codes = list(axcodes)
    source, flipped = [], []
    for direction in STORE:
        hits = [i for i, code in enumerate(codes) if code in (direction, _OPPOSITE[direction])]
        if len(codes) != 3 or len(hits) != 1:
            raise UserError(f"axis codes {codes}: expected one of each pair L/R, A/P, I/S; check the file's header")
        source.append(hits[0])
        flipped.append(codes[hits[0]] != direction)
    return source, flipped


def to_store(array: npt.NDArray, axcodes: Sequence[str]) -> npt.NDArray:
    """Bring an array on a file's grid, whose axes grow towards ``axcodes``, to the store's (S, H, W); a view."""
    source, flipped = _plan(axcodes)
    return array.transpose(source)[tuple(slice(None, None, -1 if f else 1) for f in flipped)]


def from_store(array: npt.NDArray, axcodes: Sequence[str]) -> npt.NDArray:
    """Invert ``to_store``: bring an (S, H, W) array to the grid of the file it came from; a view."""
    source, flipped = _plan(axcodes)
    return array[tuple(slice(None, None, -1 if f else 1) for f in flipped)].transpose(np.argsort(source))


def slices_last(axcodes: Sequence[str]) -> bool:
    """Return whether a file's last axis runs along the slices, which then lie one after the other."""
    return _plan(axcodes)[0][0] == 2


def spacing_to_store(zooms: Sequence[float], axcodes: Sequence[str]) -> tuple[float, float, float]:
    """Return (dz, dy, dx) in mm from a file's voxel sizes; NaN where a size is not a positive number."""
    source, _ = _plan(axcodes)
    z, y, x = (float(zooms[i]) if np.isfinite(zooms[i]) and zooms[i] > 0 else float("nan") for i in source)
    return z, y, x
