"""What could wait for ever, or end in another program's traceback, ends in one line."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from covidseg.base import files, records
from covidseg.base.errors import UserError
from covidseg.jobs import leases, locks
from covidseg.nets import published
from covidseg.schema import read_yaml
from covidseg.upkeep import folders, orphans

READERS: dict[str, Callable[[Path], object]] = {
    "record": records.read,
    "hash": records.sha256,
    "settings": read_yaml,
    "lock of a job": lambda path: locks._lock(path, print),
    "lock of a GPU": lambda path: leases._lock(path, ExitStack()),
    "weights": lambda path: published.read(path, "weights"),
}


@pytest.mark.parametrize("reader", READERS)
def test_a_pipe_is_not_waited_for(reader: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UserError, match="pipe: a folder, pipe or device where a file belongs; remove it"):
        READERS[reader](tmp_path / "pipe")


def test_empty_weights_are_one_line(tmp_path: Path) -> None:
    (tmp_path / "a.pth").write_bytes(b"")
    with pytest.raises(UserError, match=r"a\.pth: empty, not weights; delete it, then it is fetched again"):
        published.read(tmp_path / "a.pth", "weights")


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_files_have_the_permissions_that_the_user_wants(umask: int, mode: int, tmp_path: Path) -> None:
    code = (
        f"from pathlib import Path; from covidseg.base import files; files.write_text(Path({str(tmp_path)!r}, 'a'), '')"
    )
    subprocess.run([sys.executable, "-c", code], check=True, umask=umask)
    assert (tmp_path / "a").stat().st_mode & 0o777 == mode


def test_a_stopped_job_is_not_waited_for_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(orphans, "PATIENCE", 0.0)
    monkeypatch.setattr(orphans, "POLL", 0.1)
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    job = orphans.Job(str(process.pid), "running here", "train m1", queued=False)
    monkeypatch.setattr(orphans, "jobs", lambda slurm: [job])
    try:
        process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WNOWAIT)
        with pytest.raises(
            UserError, match=rf"process {process.pid} \(train m1\) is stopped; continue it by kill -CONT"
        ):
            orphans._clear([job], "wait", lambda line: None, slurm=False)
    finally:
        process.kill()
        process.communicate()


def test_a_full_output_is_one_line() -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "covidseg", "--help"], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.stderr == "covidseg: the output cannot be written (no space left on the device)\n"
    assert done.returncode == 2


def test_folders_that_snakemake_needs_are_checked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "none" / "yet"))
    assert list(folders.problems()) == []
    (tmp_path / ".snakemake").write_text("a file where the folder belongs")
    (said,) = folders.problems()
    assert said == ".snakemake: cannot be written, and Snakemake has to; free some space, or correct its rights"
    with pytest.raises(UserError, match=r"\.snakemake: cannot be written"):
        folders.check()


def test_what_this_process_wrote_is_known(tmp_path: Path) -> None:
    (tmp_path / "stranger.txt").write_text("x")
    files.write_text(tmp_path / "a.txt", "x")
    files.write_text(tmp_path / "b.txt", "x")
    (tmp_path / "b.txt").unlink()
    assert files.written(tmp_path) == [tmp_path / "a.txt"]
