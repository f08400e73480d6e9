"""Slices read from a file by rows: which, from several threads, and without the file in the process's memory."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from covidseg.base.errors import UserError
from covidseg.data.ondisk import OnDisk


@pytest.fixture
def path(tmp_path: Path) -> Path:
    np.save(tmp_path / "a.npy", np.arange(5 * 2 * 3, dtype=np.uint8).reshape(5, 2, 3))  # row k starts with 6 k
    return tmp_path / "a.npy"


def test_rows(path: Path) -> None:
    array = OnDisk(path)
    assert (len(array), array.shape) == (5, (5, 2, 3))
    assert array[1].tolist() == [[6, 7, 8], [9, 10, 11]]
    mask = [False, True, False, False, True]
    for key, rows in (([4, 0, 4], [4, 0, 4]), ([-1, 1], [4, 1]), (slice(3, None), [3, 4]), (mask, [1, 4]), ([], [])):
        found = array[key]
        assert (found.dtype, found.shape) == (np.uint8, (len(rows), 2, 3))
        assert found[:, 0, 0].tolist() == [6 * row for row in rows]
    for key in (5, [0, -6]):
        with pytest.raises(IndexError):
            array[key]


def test_rows_read_in_threads(path: Path) -> None:
    array = OnDisk(path)
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda k: int(array[k % 5][0, 0]), range(2000))) == [6 * (k % 5) for k in range(2000)]


def test_the_file_stays_out_of_the_process(tmp_path: Path) -> None:
    path, statm = tmp_path / "large.npy", Path("/proc/self/statm")
    if not statm.exists():
        pytest.skip("what a process holds is read from /proc, which only Linux has")
    np.save(path, np.zeros((1, 1024, 1024), np.uint8))
    path.write_bytes(path.read_bytes().replace(b"(1, 1024, 1024)", b"(64, 1024, 1024)").replace(b" \n", b"\n", 1))
    os.truncate(path, 128 + 64 * 1024**2)
    array, before = OnDisk(path), int(statm.read_text().split()[1])
    for k in range(64):
        assert not array[k].any()
    assert (int(statm.read_text().split()[1]) - before) * os.sysconf("SC_PAGESIZE") < 8 << 20  # of 64 MiB


def test_it_closes_its_file(path: Path) -> None:
    def opened() -> int:
        return sum(os.path.realpath(f"/proc/self/fd/{fd}") == str(path) for fd in os.listdir("/proc/self/fd"))

    if not os.path.isdir("/proc/self/fd"):
        pytest.skip("what a process holds is read from /proc, which only Linux has")
    array = OnDisk(path)
    assert opened() == 1
    del array
    assert opened() == 0


@pytest.mark.parametrize(
    "array", [np.zeros((2, 2), np.uint8), np.zeros((2, 2, 2), np.int16), np.zeros((2, 2, 3), np.uint8, "F")]
)
def test_other_arrays_are_refused(tmp_path: Path, array: np.ndarray) -> None:
    np.save(tmp_path / "a.npy", array)
    with pytest.raises(ValueError, match=r"a\.npy: not slices x rows x columns of 8 bits"):
        OnDisk(tmp_path / "a.npy")


def test_a_file_that_is_too_short(path: Path) -> None:
    array = OnDisk(path)
    os.truncate(path, path.stat().st_size - 1)
    assert array[3][0, 0] == 18
    with pytest.raises(UserError, match=r"a\.npy: was cut off while in use; run covidseg repair"):
        array[4]
    with pytest.raises(ValueError, match="157 bytes, not those of 5 slices"):  # 128 of the header, 29 of 30
        OnDisk(path)
