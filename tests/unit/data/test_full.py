"""HDF5 files as they are written: what is reserved and not yet filled belongs to the file."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np

from covidseg.data.full import hdf5


def test_room_that_is_reserved_at_the_end_is_part_of_the_file(tmp_path: Path) -> None:
    """HDF5 then lengthens the file when it closes it; a shorter one could not be opened."""
    reserved = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    reserved.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    reserved.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    with hdf5(tmp_path / "a.h5") as writer:
        writer.file.create_dataset("first", data=np.array([1, 2]))
        h5py.h5d.create(writer.file.id, b"room", h5py.h5t.NATIVE_INT64, h5py.h5s.create_simple((5000,)), dcpl=reserved)
    assert (tmp_path / "a.h5").stat().st_size > 40_000
    with h5py.File(tmp_path / "a.h5") as file:
        assert file["first"][()].tolist() == [1, 2]
        assert file["room"].shape == (5000,)
