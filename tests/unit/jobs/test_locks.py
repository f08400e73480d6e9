"""A job that is left behind and the job that repeats it never run at once."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from covidseg.jobs import locks
from covidseg.upkeep import orphans

JOB = """
import sys
from covidseg.jobs import locks
locks.alone(sys.argv[1], "results", sys.argv[2:] == ["workflow"], lambda line: print(line, flush=True))
print("begun", flush=True)
sys.stdin.readline()
"""


@pytest.fixture(autouse=True)
def _project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("COVIDSEG_QUEUED", raising=False)


def start(*arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", JOB, *arguments]
    return subprocess.Popen(command, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout
    return process.stdout.readline()


@pytest.mark.parametrize("end", ["well", "killed"])
def test_the_second_waits_for_the_first(end: str) -> None:
    first = start("train a/b 0 0")
    assert line(first) == "begun\n"
    second = start("train a/b 0 0")
    assert line(second).startswith("waiting: another process makes this")
    other = start("train a/b 1 0")  # another fold does not wait
    assert line(other) == "begun\n"
    if end == "well":
        first.communicate("\n")
    else:
        first.send_signal(signal.SIGKILL)
        first.communicate()
    assert line(second) == "begun\n"
    third = start("train a/b 0 0")  # the lock is the second's, whoever made its file
    assert line(third).startswith("waiting")
    second.communicate("\n")
    assert line(third) == "begun\n"
    for process in (third, other):
        process.communicate("\n")
    assert not list(locks.FOLDER.iterdir())


def test_what_a_workflow_left_is_listed_and_can_be_ended() -> None:
    theirs, own = start("train a/b 0 0", "workflow"), start("train a/b 1 0")
    assert line(theirs) == line(own) == "begun\n"
    assert {(job.what, job.workflow) for job in locks.processes()} == {
        ("train a/b 0 0", True),
        ("train a/b 1 0", False),
    }
    left = orphans.jobs(slurm=False)
    assert left == [orphans.Job(str(theirs.pid), "running here", "train a/b 0 0", queued=False)]
    orphans.cancel(left)
    theirs.communicate()
    assert theirs.returncode == -signal.SIGKILL
    assert orphans.jobs(slurm=False) == []
    own.communicate("\n")
    assert own.returncode == 0


def test_jobs_from_a_queue_hold_no_lock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COVIDSEG_QUEUED", "1")
    first, second = start("train a/b 0 0"), start("train a/b 0 0")
    assert line(first) == line(second) == "begun\n"
    for process in (first, second):
        process.communicate("\n")


def test_within_an_allocation_the_second_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "7")  # salloc, and in it a Snakemake of one machine
    first = start("train a/b 0 0")
    assert line(first) == "begun\n"
    second = start("train a/b 0 0")
    assert line(second).startswith("waiting")
    for process in (first, second):
        process.communicate("\n")
