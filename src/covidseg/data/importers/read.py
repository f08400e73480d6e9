"""Reading one file: NIfTI volumes and grey images, refused in one line when they are not what they should be."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from covidseg.base.errors import UserError
from covidseg.base.geometry import Grid, apart, grid_of
from covidseg.base.nifti import header, load
from covidseg.base.pictures import read_picture
from covidseg.data import slabs
from covidseg.data.canonical import U8
from covidseg.data.importers import leftout
from covidseg.data.orientation import spacing_to_store, to_store


@dataclass
class Volume:
    """A NIfTI volume in the store's orientation, (S, H, W), with its own grid beside it."""

    array: Any  # an array, or slabs of one
    spacing: tuple[float, float, float]
    affine: npt.NDArray[np.float64]
    axcodes: str
    grid: Grid | None = None

    @property
    def notes(self) -> tuple[str, ...]:
        """Return what its header leaves unknown."""
        return self.grid.notes if self.grid else ()


def nifti(path: Path, by_slabs: bool = False) -> Volume:
    """Read a 3-D NIfTI file; orientation and spacing come from its header, see ``base.geometry``.

    ``by_slabs``: the array of a large volume is one of ``data.slabs``, which is read when it is used.

    Raises UserError when it is missing, corrupt, 4-D, RGB, has NaN or infinite voxels, no usable orientation, a header
    that contradicts itself, or more voxels than there is memory.
    """
    import nibabel as nib

    try:
        if by_slabs and (found := _large(path)):
            return found
        image, array = load(path)
        grid = grid_of(image)
    except UserError:
        raise
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; fetch the data set again") from None
    except MemoryError as e:
        raise UserError(f"{path}: not enough memory to read it; free some, or cut the scan") from e
    except Exception as e:  # nibabel, gzip and zlib each have their own idea of a broken file
        raise UserError(f"{path}: corrupt or not NIfTI ({type(e).__name__}: {e}); repair it or fetch it again") from e
    if array.dtype.kind not in "iuf":
        raise UserError(f"{path}: RGB or complex voxels; expected one number per voxel")
    while array.ndim > 3 and array.shape[-1] == 1:
        array = array[..., 0]
    if array.ndim != 3:
        raise UserError(f"{path}: {array.ndim}-D of shape {array.shape}; expected one 3-D volume; split or stack it")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise UserError(f"{path}: NaN or infinite voxels; repair or leave out the file")
    codes = nib.orientations.aff2axcodes(grid.affine)
    if None in codes:
        raise UserError(f"{path}: the header gives no orientation; set its sform or qform")
    axcodes = "".join(str(code) for code in codes)
    return Volume(to_store(array, axcodes), spacing_to_store(grid.zooms, axcodes), grid.affine, axcodes, grid)


def _large(path: Path) -> Volume | None:
    """Return a volume to be read by slabs; None where the file is small or not of that kind. Raises as ``load``."""
    import nibabel as nib

    image = header(path)
    grid = grid_of(image)
    codes = nib.orientations.aff2axcodes(grid.affine)
    if None in codes or not slabs.fits(image, axcodes := "".join(codes)):
        return None
    array = slabs.Slabs(path, image, axcodes)
    if not array.finite:
        raise UserError(f"{path}: NaN or infinite voxels; repair or leave out the file")
    return Volume(array, spacing_to_store(grid.zooms, axcodes), grid.affine, axcodes, grid)


def nifti_mask(path: Path, like: Volume, published: bool = False) -> Any:
    """Read a label volume on the grid of ``like``, (S, H, W), by slabs where that is read so.

    Raises UserError for another grid or broken labels.

    ``published``: the files are known by their hashes and fit voxel by voxel, whatever their headers say.
    """
    mask = nifti(path, isinstance(like.array, slabs.Slabs))
    if mask.array.shape != like.array.shape:
        shapes = f"mask of shape {mask.array.shape} for an image of shape {like.array.shape}"
        raise UserError(f"{path}: {shapes}; bring it to the image's grid")
    if not published and mask.grid and like.grid and (problem := apart(like.grid, mask.grid)):
        raise UserError(f"{path}: not on its image's grid, {problem}; resample the mask onto the image")
    if isinstance(mask.array, slabs.Slabs):
        return slabs.Mapped(mask.array, lambda block: whole(block, path))
    return whole(mask.array, path)


def whole(array: npt.NDArray, path: Path) -> U8:
    """Return labels as uint8. Raises UserError when a value is not a whole number from 0 to 255."""
    labels = array if array.dtype.kind in "iu" else np.rint(array)
    # a label of 2.0000001 is rounding in a float header; 2.4 is interpolation, and silently wrong
    if array.dtype.kind == "f" and np.abs(array - labels).max(initial=0) > 1e-3:
        raise UserError(f"{path}: labels that are not whole numbers; resample masks with nearest neighbour")
    if labels.size and (labels.min() < 0 or labels.max() > 255):
        raise UserError(f"{path}: label values from {labels.min():g} to {labels.max():g}; expected 0 to 255")
    return np.ascontiguousarray(labels, dtype=np.uint8)


def grey(path: Path, palette: bool = False) -> U8:
    """Read an 8-bit grey image, (H, W), by the rule of ``base.pictures``; ``palette``: a label map's indices.

    Raises UserError when it is missing, corrupt, in colour or of more than 8 bits.
    """
    try:
        array = read_picture(path, palette)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; fetch the data set again") from None
    except ValueError as e:
        raise UserError(f"{path}: {e}") from e
    if array.dtype != np.uint8:
        raise UserError(f"{path}: {array.dtype} image; expected 8-bit grey, save it as such")
    return array


def relabel(array: Any, mapping: Mapping[int, int], where: Path | str, remedy: str = "fetch the data set again") -> Any:
    """Map label values, of slabs as they are read.

    Raises UserError, which ends in the ``remedy``, for a value outside the map.
    """
    if isinstance(array, slabs.Mapped):
        return slabs.Mapped(array, lambda block: relabel(block, mapping, where, remedy))
    present = np.flatnonzero(np.bincount(array.ravel(), minlength=256))
    unknown = sorted(set(present.tolist()) - set(mapping))
    if unknown:
        raise UserError(f"{where}: label values {unknown} are not in the map {sorted(mapping)}; {remedy}")
    table = np.zeros(256, np.uint8)
    table[list(mapping)] = list(mapping.values())
    return table[array]


def same_shape(image: U8, mask: U8, path: Path) -> None:
    """Raise UserError when a mask does not fit its image."""
    if image.shape != mask.shape:
        raise UserError(
            f"{path}: mask of shape {mask.shape} for an image of shape {image.shape}; bring it to the image's grid"
        )


def listing(folder: Path, suffixes: tuple[str, ...]) -> list[Path]:
    """Return the files below ``folder`` with one of ``suffixes``, sorted. Raises UserError when there is none."""
    found = [path for path in leftout.below(folder) if leftout.is_read(path, suffixes)]
    if not found:
        raise UserError(f"{folder}: no {' or '.join(suffixes)} files; check the path, or fetch the data set again")
    return found


def stem(path: Path) -> str:
    """Return a file's name without .nii, .nii.gz or its last suffix."""
    name = path.name[:-3] if path.name.lower().endswith(".gz") else path.name
    return name.rsplit(".", 1)[0] if "." in name else name


def by_natural_order(paths: Iterable[Path]) -> list[Path]:
    """Sort paths so that 10 comes after 9."""
    import re

    return sorted(paths, key=lambda p: [int(t) if t.isdecimal() else t for t in re.split(r"(\d+)", stem(p))])
