"""The state of a training that was stopped: what was written, or none."""

from __future__ import annotations

import os
import zipfile
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from covidseg.train import resume
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


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")  # of what is refused
def test_a_state_runs_no_code(tmp_path: Path) -> None:
    """Whoever writes a state can seal it too; what it holds is read as tensors and plain values all the same."""

    class Harm:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.mkdir, (str(tmp_path / "harm"),)

    Resume(tmp_path, "job").save(lambda: {"epoch": Harm()})
    again = Resume(tmp_path, "job")
    assert (again.load(), again.notes) == (None, ["ignored a damaged resume state"])
    assert not (tmp_path / "harm").exists()


def test_the_next_state_is_due_when_the_last_one_took_a_fiftieth_of_the_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that took 0.8 s is followed by one after 40 s, a quick one by one after 20 s."""
    now = [100.0]
    monkeypatch.setattr(resume.time, "monotonic", lambda: now[0])
    state = Resume(tmp_path, "job")

    def taking(seconds: float) -> dict[str, Any]:
        now[0] += seconds
        return STATE

    for seconds, due in ((0.8, 40.0), (0.1, 20.0)):
        state.save(partial(taking, seconds))
        now[0] += due - 0.01
        assert not state.due()
        now[0] += 0.02
        assert state.due()
