"""Opening a NIfTI file whose header may lie."""

from __future__ import annotations

import gzip
import logging
import math
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from covidseg.base.files import regular

MORE = 16 << 20  # bytes that may follow the voxels
BLOCK = 1 << 20


def header(path: Path) -> Any:
    """Return nibabel's image of a .nii or .nii.gz file, its voxels yet to be read. Raises as ``load``."""
    import nibabel as nib

    regular(path)
    logging.getLogger("nibabel.global").setLevel(logging.CRITICAL + 1)  # what it says stands in the error too
    with warnings.catch_warnings(action="ignore"):
        image: Any = nib.load(path)  # type: ignore[attr-defined]
        with gzip.open(path, "rb") if path.suffix.lower() == ".gz" else open(path, "rb") as f:
            as_stored = type(image.header).from_fileobj(f, check=False)
        image.header["pixdim"] = as_stored["pixdim"]  # nibabel reads 0 as 1: an unknown size as a known one
    return image


def load(path: Path) -> tuple[Any, npt.NDArray]:
    """Return nibabel's image of a .nii or .nii.gz file, and its voxels, scaled as the header says.

    A .nii.gz is decompressed to its end first: only there its checksum stands. Raises ValueError when the file holds
    fewer bytes than the header names, or many more, before memory is taken for them, and when it is no regular file;
    FileNotFoundError; and whatever nibabel, gzip and zlib raise for a broken file.
    """
    image = header(path)
    with warnings.catch_warnings(action="ignore"):
        named = math.prod(image.shape) * image.get_data_dtype().itemsize
        end = int(image.dataobj.offset) + named
        held = _unpacked_bytes(path, end + MORE) if path.suffix.lower() == ".gz" else path.stat().st_size
        if end > held:
            raise ValueError(f"the header names {named} bytes of voxels, more than the file can hold")
        if held > end + MORE:
            raise ValueError(f"it goes on for more than {MORE} bytes after its {named} bytes of voxels")
        return image, np.asanyarray(image.dataobj)


def _unpacked_bytes(path: Path, most: int) -> int:
    """Return the length of a gzip file's content, checked against its checksum unless it is more than ``most``."""
    held = 0
    with gzip.open(path, "rb") as f:
        while piece := f.read(BLOCK):
            held += len(piece)
            if held > most:
                break
    return held
