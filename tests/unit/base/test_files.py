"""Nothing partial is ever seen."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from covidseg.base.errors import UserError
from covidseg.base.files import MAKING, copy, replacing, sweep, write_json, write_text

FILL = """
import resource, sys
from pathlib import Path
from covidseg.base.errors import UserError
from covidseg.base.files import replacing
with replacing(Path(sys.argv[1])) as path, open("/dev/full", "w") as full:
    path.write_text("half")
    full.write("x" * 100_000)
"""


def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_text(path, "old")
    with pytest.raises(ZeroDivisionError), replacing(path) as temporary:
        temporary.write_text(f"half {1 // 0}")
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_a_full_disk_is_one_line_and_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_text(path, "old")
    done = subprocess.run([sys.executable, "-c", FILL, str(path)], capture_output=True, text=True)
    assert done.returncode != 0
    assert f"{path}: no space left on the disk" in done.stderr
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_a_folder_in_a_files_place_is_one_line_and_stays(tmp_path: Path) -> None:
    (tmp_path / "a.csv").mkdir()
    (tmp_path / "a.csv" / "note").write_text("not ours")
    with pytest.raises(UserError, match=r"a\.csv: cannot be written \(Is a directory\); move what is there away"):
        write_text(tmp_path / "a.csv", "new")
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a.csv", "note"]


def test_json_is_sorted(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"b": 1, "a": [2]})
    assert (tmp_path / "a.json").read_text() == '{\n  "a": [\n    2\n  ],\n  "b": 1\n}\n'


COPY = """
import resource, sys
from pathlib import Path
from covidseg.base.files import copy
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
copy(Path(sys.argv[1]), Path(sys.argv[2]))
"""


def test_a_copy_is_whole_or_not_there(tmp_path: Path) -> None:
    origin, path = tmp_path / "a.bin", tmp_path / "b.bin"
    origin.write_bytes(bytes(20_000))
    path.write_bytes(b"old")
    done = subprocess.run([sys.executable, "-c", COPY, str(origin), str(path)], capture_output=True, text=True)
    assert f"{path}: no space left on the disk" in done.stderr
    assert path.read_bytes() == b"old"
    copy(origin, path)
    assert path.read_bytes() == bytes(20_000)
    assert sorted(os.listdir(tmp_path)) == ["a.bin", "b.bin"]


def test_what_a_kill_left_goes_after_a_day(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    folder.mkdir()
    with replacing(folder / "a.npy") as temporary:
        old = temporary.rename(temporary.with_name(f".a.npy{MAKING}0.npy"))
        temporary.write_text("")  # what the writer is at
        unpacking = folder / f".scans{MAKING}1"
        unpacking.mkdir()
        (folder / ".b.zip.part").write_text("")  # a download goes on from it
        for path in (old, unpacking, folder / ".b.zip.part"):
            os.utime(path, (0, 0))
        sweep(tmp_path)
        assert sorted(os.listdir(folder)) == sorted([temporary.name, ".b.zip.part"])
    assert sorted(os.listdir(folder)) == [".b.zip.part", "a.npy"]
