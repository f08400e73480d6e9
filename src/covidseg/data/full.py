"""HDF5 files that survive a full disk."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from covidseg.base import files

U8 = npt.NDArray[np.uint8]

LIBVER = ("v110", "v110")  # one file format whatever the library, so that the bytes stay the same


class _Sink:
    """The file below an HDF5 file: a write that fails is remembered and the rest is dropped.

    HDF5 crashes the process when a write fails while it closes a file, so that it must not see the failure.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.error: OSError | None = None

    def write(self, data: Any) -> int:
        if self.error is None:
            try:
                at = 0
                while at < len(data):  # an unbuffered file may take a part only
                    at += self._file.write(data[at:]) or 0
            except OSError as e:
                self.error = e
        return len(data)

    def read(self, size: int = -1) -> bytes:
        return self._file.read(size)

    def readinto(self, buffer: Any) -> int:
        return self._file.readinto(buffer)  # type: ignore[attr-defined, no-any-return]

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def truncate(self, size: int) -> None:
        if self.error is None:
            try:
                self._file.truncate(size)
            except OSError as e:
                self.error = e

    def flush(self) -> None:
        """Nothing to do: the file below is unbuffered."""

    def check(self) -> None:
        """Raise the error that was met, if any."""
        if self.error:
            raise self.error


class Writer:
    """An HDF5 file being written: ``file`` of h5py, and ``check``, which raises once the disk is full."""

    def __init__(self, file: Any, sink: _Sink) -> None:
        self.file = file
        self.check = sink.check

    def slices(self, key: str, rows: npt.NDArray[np.int64], shape: tuple[int, ...]) -> Callable[[U8], None]:
        """Begin ``index`` int32 (N,), the rows, and ``key`` uint8 (N, ...) of slices of a shape, compressed one by one.

        Returns what writes the next (n, ...) of them.
        """
        self.file.create_dataset("index", data=rows.astype(np.int32), track_times=False)
        return self.maps(key, len(rows), shape)

    def maps(self, key: str, count: int, shape: tuple[int, ...]) -> Callable[[U8], None]:
        """Begin ``key`` uint8 (count, ...), more of the same slices; return what writes the next (n, ...) of them."""
        whole = self.file.create_dataset(
            key, (count, *shape), np.uint8, chunks=(1, *shape), compression=1, track_times=False
        )
        done = 0

        def append(some: U8) -> None:
            nonlocal done
            whole[done : done + len(some)] = some
            self.check()
            done += len(some)

        return append


@contextlib.contextmanager
def hdf5(path: Path) -> Iterator[Writer]:
    """Yield a new HDF5 file that replaces ``path`` when the block ends well; the same content gives the same bytes.

    Raises UserError when the disk is full; ``path`` is then as before.
    """
    import h5py

    with files.replacing(path) as temporary, open(temporary, "r+b", buffering=0) as raw:
        sink = _Sink(raw)
        with h5py.File(sink, "w", libver=LIBVER) as file:
            yield Writer(file, sink)
        sink.check()
