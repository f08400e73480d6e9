"""Volumes that are read slab by slab, so that memory does not grow with their slices."""

from __future__ import annotations

import gzip
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from covidseg.base.nifti import BLOCK, MORE
from covidseg.data.orientation import slices_last, to_store

LARGE = 32 << 20  # voxels from which on a volume is read by slabs
SLAB = 16  # slices read at once
Blocks = Iterator[tuple[slice, npt.NDArray]]


class Slabs:
    """The voxels of a NIfTI file in the store's orientation, (S, H, W), read again each time they are asked for.

    ``min`` and ``max`` are those of the whole volume; ``finite`` says whether every voxel is a number.
    """

    ndim = 3

    def __init__(self, path: Path, image: Any, axcodes: str) -> None:
        """Read the file once, to its end, where a compressed one has its checksum.

        Raises ValueError when it holds fewer bytes than its header names, or many more, and whatever gzip raises.
        """
        self.path, self._image, self._axcodes = path, image, axcodes
        self._reversed = to_store(np.arange(2).reshape(1, 1, 2), axcodes)[0, 0, 0] == 1
        nx, ny, nz = image.shape[:3]
        self.shape = to_store(np.empty((nx, ny, 0)), axcodes).shape[1:]
        self.shape = (nz, *self.shape)
        low, high, self.finite = np.inf, -np.inf, True
        self.dtype: np.dtype[Any] = np.dtype(np.uint8)
        for _, block in self.blocks():
            self.dtype = block.dtype
            low, high = min(low, float(block.min())), max(high, float(block.max()))
            self.finite = self.finite and (block.dtype.kind != "f" or bool(np.isfinite(block).all()))
        self._range = low, high

    def min(self) -> float:
        """Return the smallest voxel."""
        return self._range[0]

    def max(self) -> float:
        """Return the largest voxel."""
        return self._range[1]

    def blocks(self) -> Blocks:
        """Yield (place along the slices, block (n, H, W)) in the file's order, and read it to its end."""
        from nibabel.volumeutils import apply_read_scaling

        proxy, dtype = self._image.dataobj, self._image.get_data_dtype()
        nx, ny, nz = self._image.shape[:3]
        scale = np.asanyarray(proxy.slope), np.asanyarray(proxy.inter)
        with _opened(self.path) as f:
            f.seek(int(proxy.offset))
            for first in range(0, nz, SLAB):
                count = min(SLAB, nz - first)
                raw = np.frombuffer(_exactly(f, nx * ny * count * dtype.itemsize), dtype)
                block = apply_read_scaling(raw.reshape((nx, ny, count), order="F"), *scale)
                start = nz - first - count if self._reversed else first
                yield slice(start, start + count), to_store(block, self._axcodes)
            _end(f)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray:
        """Return the whole volume."""
        whole = np.empty(self.shape, dtype or self.dtype)
        for place, block in self.blocks():
            whole[place] = block
        return whole


class Mapped:
    """A volume, array or slabs, with a function applied to each block as it is read; the function keeps the shape."""

    ndim = 3

    def __init__(self, volume: Any, function: Callable[[npt.NDArray], npt.NDArray]) -> None:
        self._volume, self._function, self.shape = volume, function, volume.shape

    def blocks(self) -> Blocks:
        """Yield (place along the slices, block (n, H, W))."""
        for place, block in blocks(self._volume):
            yield place, self._function(block)


@dataclass(frozen=True)
class Made:
    """A volume of this shape that is made block by block, once."""

    shape: tuple[int, int, int]
    made: Blocks

    def blocks(self) -> Blocks:
        """Yield (place along the slices, block (n, H, W))."""
        return self.made


def blocks(volume: Any) -> Blocks:
    """Yield (place along the slices, block) of an array (S, H, W) or of slabs."""
    if isinstance(volume, Slabs | Mapped | Made):
        yield from volume.blocks()
        return
    for start in range(0, len(volume), SLAB):
        stop = min(start + SLAB, len(volume))
        yield slice(start, stop), volume[start:stop]


def fits(image: Any, axcodes: str) -> bool:
    """Return whether a NIfTI file is large, and its slices lie one after the other in it."""
    plain = len(image.shape) == 3 and image.get_data_dtype().kind in "iuf"
    return plain and math.prod(image.shape) >= LARGE and slices_last(axcodes)


def _opened(path: Path) -> IO[bytes]:
    return gzip.open(path, "rb") if path.suffix.lower() == ".gz" else open(path, "rb")  # type: ignore[return-value]


def _exactly(f: IO[bytes], count: int) -> bytes:
    found = f.read(count)
    if len(found) < count:
        raise ValueError("the header names more voxels than the file holds")
    return found


def _end(f: IO[bytes]) -> None:
    """Read a file to its end: there gzip compares the checksum. Raises ValueError where that is far away."""
    more = 0
    while piece := f.read(BLOCK):
        more += len(piece)
        if more > MORE:
            raise ValueError(f"it goes on for more than {MORE} bytes after its voxels")
