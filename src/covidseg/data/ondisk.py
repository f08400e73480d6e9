"""Slices in a .npy file, read when they are asked for."""

from __future__ import annotations

import os
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from covidseg.base.errors import UserError
from covidseg.base.records import REPAIR

U8 = npt.NDArray[np.uint8]


class OnDisk:
    """A read-only uint8 array (N, H, W) in a .npy file; ``[row]``, ``[rows]``, ``[a:b]`` and a mask read copies.

    A memory map would do, but what a process has touched of one counts as its own memory: a batch system ends a job
    whose data set is larger than what it asked for. Here only the system's cache of files grows. Reads may come from
    several threads at once and after a fork; the file is closed with the object.
    """

    def __init__(self, path: Path) -> None:
        """Open the file. Raises OSError or ValueError when it is missing, of another kind, or cut off."""
        self.path = path
        with open(path, "rb") as f:
            if np.lib.format.read_magic(f) != (1, 0):
                raise ValueError(f"{path.name}: not a .npy file of version 1.0")
            self.shape, fortran, dtype = np.lib.format.read_array_header_1_0(f)
            self._start = f.tell()
            size = os.fstat(f.fileno()).st_size
            if len(self.shape) != 3 or fortran or dtype != np.uint8:
                raise ValueError(f"{path.name}: not slices x rows x columns of 8 bits")
            self._each = self.shape[1] * self.shape[2]
            if size != self._start + len(self) * self._each:
                raise ValueError(f"{path.name}: {size} bytes, not those of {len(self)} slices")
            self._fd = os.dup(f.fileno())
        weakref.finalize(self, os.close, self._fd)

    def __len__(self) -> int:
        return int(self.shape[0])

    def __getitem__(self, key: Any) -> U8:
        """Return (H, W) of one row, (n, H, W) of several. Raises IndexError; UserError when the file cannot be read."""
        rows = np.arange(*key.indices(len(self))) if isinstance(key, slice) else np.asarray(key)
        if rows.dtype == bool:
            rows = np.flatnonzero(rows)
        out = np.empty((*rows.shape, *self.shape[1:]), np.uint8)
        if not out.size:
            return out
        if rows.min() < -len(self) or rows.max() >= len(self):
            raise IndexError(f"{self.path}: rows {rows.min()} to {rows.max()} of {len(self)}")
        view, each = out.data.cast("B"), self._each
        places = self._start + rows.astype(np.int64).ravel() % len(self) * each
        try:
            for k, at in enumerate(places.tolist()):
                into = view[k * each : (k + 1) * each]
                if (got := os.preadv(self._fd, [into], at)) != each:
                    self._finish(into[got:], at + got)
        except OSError as e:
            raise UserError(f"{self.path}: cannot be read ({e.strerror}); {REPAIR}") from e
        return out

    def _finish(self, into: memoryview, at: int) -> None:
        """Read on after a signal cut a read short."""
        while into:
            if not (got := os.preadv(self._fd, [into], at)):
                raise UserError(f"{self.path}: was cut off while in use; {REPAIR}")
            into, at = into[got:], at + got
