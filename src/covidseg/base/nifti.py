"""Opening a NIfTI file whose header may lie."""

from __future__ import annotations

import logging
import math
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

DEFLATE = 1032  # bytes that one byte of a gzip file can stand for, at most


def load(path: Path) -> tuple[Any, npt.NDArray]:
    """Return nibabel's image of a .nii or .nii.gz file, and its voxels, scaled as the header says.

    Raises ValueError when the header names more voxels than the file can hold, before memory is taken for them; and
    whatever nibabel, gzip and zlib raise for a broken file.
    """
    import nibabel as nib

    logging.getLogger("nibabel.global").setLevel(logging.CRITICAL + 1)  # what it says stands in the error too
    with warnings.catch_warnings(action="ignore"):
        image: Any = nib.load(path)  # type: ignore[attr-defined]
        named = math.prod(image.shape) * image.get_data_dtype().itemsize
        if named > path.stat().st_size * (DEFLATE if path.suffix == ".gz" else 1):
            raise ValueError(f"the header names {named} bytes of voxels, more than the file can hold")
        return image, np.asanyarray(image.dataobj)
