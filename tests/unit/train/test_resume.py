"""The state of a training that was stopped: what was written, or none."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
import torch

from covidseg.train.resume import Resume

STATE = {"epoch": 3, "model": {"values": torch.ones(1000)}}


def test_a_state_comes_back(tmp_path: Path) -> None:
    Resume(tmp_path, "job").save(lambda: STATE)
    again = Resume(tmp_path, "job")
    found = again.load()
    assert found is not None
    assert (found["epoch"], found["model"]["values"].sum().item(), again.notes) == (3, 1000, [])
    assert zipfile.ZipFile(tmp_path / "resume.pt").testzip() is None  # torch.load takes it as ever


def test_a_state_of_another_job_is_none(tmp_path: Path) -> None:
    Resume(tmp_path, "job").save(lambda: STATE)
    again = Resume(tmp_path, "another job")
    assert (again.load(), again.notes) == (None, ["ignored a resume state of another spec"])


@pytest.mark.parametrize("harm", ["one bit of a weight", "cut off", "its hash", "empty"])
def test_a_damaged_state_is_none(harm: str, tmp_path: Path) -> None:
    """torch reads the weights as they are, whatever the checksums in its file say."""
    Resume(tmp_path, "job").save(lambda: STATE)
    file = tmp_path / "resume.pt"
    content = bytearray(file.read_bytes())
    if harm == "one bit of a weight":
        content[content.index(b"\0\0\x80\x3f" * 8)] ^= 1  # of 1.0 in single precision
    elif harm == "its hash":
        content[-1] ^= 1
    file.write_bytes({"cut off": content[:-1], "empty": b""}.get(harm, content))
    again = Resume(tmp_path, "job")
    assert (again.load(), again.notes) == (None, ["ignored a damaged resume state"])
