"""Masks and probability maps as files on a scan's own grid."""

from __future__ import annotations

import gzip
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from covidseg.base.files import replacing
from covidseg.data.canonical import U8
from covidseg.data.orientation import from_store

SCL_SLOPE = 112  # its place in a NIfTI-1 header
FASTEST = 1  # gzip level: masks shrink a hundredfold at any level


def write_volume(
    path: Path,
    volume_SHW: npt.NDArray[Any],
    affine: npt.NDArray[np.float64],
    axcodes: str,
    like: Any = None,
    note: str = "",
    slope: float = 0.0,
) -> None:
    """Write an (S, H, W) array of the store as NIfTI on the grid with this affine; equal arrays give equal bytes.

    ``like`` is the NIfTI header of the scan: its sform and its qform are copied with their codes, so that every
    reader, whichever of the two it follows, puts both files in the same place. Without it the affine is written as
    both; a sheared affine, which a qform cannot hold, as the sform alone. ``note``: up to 79 characters for the
    header's description. ``slope``: what a stored value counts, as 1/255 of 8-bit probabilities; 0: itself.
    """
    import nibabel as nib

    image = nib.nifti1.Nifti1Image(np.ascontiguousarray(from_store(volume_SHW, axcodes)), affine)
    header = image.header
    header.set_xyzt_units("mm")
    header["descrip"] = note.encode("ascii", "replace")[:79]
    if like is not None:
        for key in ("qform_code", "quatern_b", "quatern_c", "quatern_d", "qoffset_x", "qoffset_y", "qoffset_z"):
            header[key] = like[key]
        for key in ("sform_code", "srow_x", "srow_y", "srow_z"):
            header[key] = like[key]
        header["pixdim"][:4] = like["pixdim"][:4]
    else:
        header.set_sform(affine, code="scanner")
        try:
            header.set_qform(affine, code="scanner", strip_shears=False)
        except nib.spatialimages.HeaderDataError:
            header.set_qform(None, code="unknown")
    data = bytearray(image.to_bytes())
    if slope:  # nibabel would take the array for scaled values already, and divide it
        struct.pack_into("<f", data, SCL_SLOPE, slope)
    with replacing(path) as temporary:
        temporary.write_bytes(gzip.compress(data, compresslevel=FASTEST, mtime=0))


def write_pictures(out: Path, name: str, mask_SHW: U8, note: str = "") -> list[Path]:
    """Write the slices of a mask as PNG, ``NAME.png`` or ``NAME-000.png`` and so on; return the files.

    ``note`` becomes the text chunk Description.
    """
    from PIL import Image, PngImagePlugin

    paths = [out / each for each in picture_names(name, len(mask_SHW))]
    about = PngImagePlugin.PngInfo()
    if note:
        about.add_text("Description", note)
    for path, piece in zip(paths, mask_SHW, strict=True):
        with replacing(path) as temporary:
            Image.fromarray(piece).save(temporary, pnginfo=about)
    return paths


def picture_names(name: str, slices: int) -> list[str]:
    """Return the names of the files of ``write_pictures``."""
    return [f"{name}.png"] if slices == 1 else [f"{name}-{k:03d}.png" for k in range(slices)]


def labelled(found: U8, values: Sequence[int]) -> U8:
    """Return class numbers 0..K as the mask's own values: background 0, then ``values``."""
    return np.array([0, *values], np.uint8)[found]
