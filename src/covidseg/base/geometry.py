"""Where a volume's voxels lie: from a NIfTI header, and whether two volumes share one grid.

Lengths are in mm whatever unit the header names (micrometre, millimetre, metre; none named means millimetre). What a
header does not say stays unknown and is noted: no orientation where both codes are 0, no voxel size where a pixdim is
0, or where all are exactly 1 and both codes 0, which is what a converter leaves that knew nothing.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

UNITS = {"meter": 1000.0, "mm": 1.0, "micron": 0.001, "unknown": 1.0}
SIZES = 0.01  # relative difference of a voxel's size between pixdim and affine that is rounding
APART = 0.25  # share of a voxel by which corners of equal grids may lie apart: headers round
NAN = float("nan")


@dataclass(frozen=True)
class Grid:
    """A file's grid: ``affine`` (4, 4) in mm, of which ``oriented`` says whether the header vouches for it; ``zooms``
    (3,) voxel sizes in mm along the file's axes, NaN where unknown; ``notes`` on what is unknown.
    """

    shape: tuple[int, ...]
    affine: npt.NDArray[np.float64]
    zooms: tuple[float, float, float]
    oriented: bool
    notes: tuple[str, ...] = ()


def grid_of(image: Any) -> Grid:
    """Return the grid of a nibabel NIfTI image. Raises ValueError when its header contradicts itself."""
    header, affine = image.header, np.asarray(image.affine, np.float64)
    code = int(header["xyzt_units"]) & 7
    units = {0: "unknown", 1: "meter", 2: "mm", 3: "micron"}
    if code not in units:
        raise ValueError(f"its spatial unit has the unknown code {code}; set it to mm")
    scale = UNITS[units[code]]
    pixdim = [float(size) for size in header["pixdim"][1:4]]
    oriented = int(header["sform_code"]) > 0 or int(header["qform_code"]) > 0
    notes = [] if oriented else ["its header gives no orientation (sform and qform codes are 0); it is read as stored"]
    known = all(np.isfinite(size) and size > 0 for size in pixdim[: min(3, len(image.shape))])
    if not known:
        notes.append(f"its voxel sizes are unknown (pixdim {', '.join(f'{size:g}' for size in pixdim)})")
    elif not oriented and set(pixdim) == {1.0}:
        known = False
        notes.append("its voxel sizes are unknown (pixdim 1, 1, 1 and no orientation)")
    if not np.isfinite(affine).all():
        raise ValueError("its affine is not finite; set its sform or qform")
    if oriented and known:
        for axis, (said, size) in enumerate(zip(np.linalg.norm(affine[:3, :3], axis=0), pixdim, strict=True)):
            if axis < len(image.shape) and image.shape[axis] > 1 and abs(said - size) > SIZES * size:
                raise ValueError(
                    f"voxel sizes contradict each other: pixdim says {size:g}, the affine {said:g}; correct the header"
                )
    zooms = tuple(size * scale if known else NAN for size in pixdim)
    affine = affine.copy()
    affine[:3] *= scale
    return Grid(tuple(image.shape), affine, (zooms[0], zooms[1], zooms[2]), oriented, tuple(notes))


def apart(a: Grid, b: Grid) -> str | None:
    """Say how two grids of one shape differ; None where they are one, or where one of them is unknown."""
    if not (a.oriented and b.oriented):
        return None
    one, other = _corners(a), _corners(b)
    distance = float(np.linalg.norm(one[:, None] - other[None], axis=2).min(axis=1).max())
    voxel = min(float(size) for size in np.linalg.norm(a.affine[:3, :3], axis=0) if size > 0)
    return None if distance <= APART * voxel else f"the two lie {distance:.4g} mm apart"


def _corners(grid: Grid) -> npt.NDArray[np.float64]:
    """Return the eight corners in mm, (8, 3): equal as a set however the axes are stored."""
    last = [max(0, size - 1) for size in (*grid.shape, 1, 1, 1)[:3]]
    index = np.array([[*corner, 1] for corner in itertools.product(*((0, n) for n in last))], float)
    return (index @ grid.affine.T)[:, :3]
