"""GPUs are leased one job each: real processes compete for devices that are only named."""

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from covidseg.base.errors import UserError
from covidseg.jobs import leases

JOB = """
import os, sys
from covidseg.jobs.leases import lease
with lease(sys.argv[1], int(sys.argv[2]), lambda text: print(text, flush=True)) as held:
    print(f"holds {','.join(held)}, sees {os.environ.get('CUDA_VISIBLE_DEVICES')}", flush=True)
    sys.stdin.readline()
"""
DECIDE = ("CUDA_VISIBLE_DEVICES", "COVIDSEG_GPUS", "SLURM_JOB_ID", "SLURM_JOB_GPUS")


class Job:
    """A process that holds GPUs until it is told to end."""

    def __init__(self, folder: Path, count: int, gpus: str | None = "0,1", device: str = "auto", **more: str) -> None:
        environment = {name: value for name, value in os.environ.items() if name not in DECIDE}
        environment |= {"TMPDIR": str(folder), **more} | ({"COVIDSEG_GPUS": gpus} if gpus is not None else {})
        self.process = subprocess.Popen(
            [sys.executable, "-c", JOB, device, str(count)],
            env=environment,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def says(self) -> str:
        """Return its next line."""
        assert self.process.stdout
        return self.process.stdout.readline().rstrip("\n")

    def ends(self) -> None:
        self.process.communicate("\n")


def test_each_job_holds_a_gpu_of_its_own_and_the_third_waits_in_line(tmp_path: Path) -> None:
    first = Job(tmp_path, 1)
    assert first.says() == "holds 0, sees 0"
    second = Job(tmp_path, 0)  # one where there is one
    assert second.says() == "holds 1, sees 1"
    third = Job(tmp_path, 1)
    assert third.says() == "waiting for 1 of the GPUs 0, 1: other jobs hold them"
    second.ends()
    assert third.says() == "holds 1, sees 1"  # it waited without a second word
    first.ends()
    third.ends()


def test_a_killed_job_frees_its_gpu(tmp_path: Path) -> None:
    killed = Job(tmp_path, 1, "5")
    assert killed.says() == "holds 5, sees 5"
    waiting = Job(tmp_path, 1, "5")
    assert waiting.says() == "waiting for 1 of the GPUs 5: other jobs hold them"
    killed.process.kill()
    assert killed.process.wait() == -signal.SIGKILL
    assert waiting.says() == "holds 5, sees 5"
    waiting.ends()


def test_a_job_for_two_gpus_is_not_passed_by_jobs_for_one(tmp_path: Path) -> None:
    single = Job(tmp_path, 1)
    assert single.says() == "holds 0, sees 0"
    pair = Job(tmp_path, 2)
    assert pair.says() == "waiting for 2 of the GPUs 0, 1: other jobs hold them"
    late = Job(tmp_path, 1)
    assert late.says() == "waiting for 1 of the GPUs 0, 1: other jobs hold them"
    single.ends()
    assert pair.says() == "holds 0,1, sees 0,1"
    pair.ends()
    assert late.says() == "holds 0, sees 0"
    late.ends()


def test_cuda_visible_devices_is_honoured(tmp_path: Path) -> None:
    first, second = (Job(tmp_path, 1, "0,1,2,3", CUDA_VISIBLE_DEVICES="2,3") for _ in range(2))
    assert {first.says(), second.says()} == {"holds 2, sees 2", "holds 3, sees 3"}
    hidden = Job(tmp_path, 1, "0,1,2,3", CUDA_VISIBLE_DEVICES="")
    assert hidden.says() == "holds , sees "
    for job in (first, second, hidden):
        job.ends()


def test_slurm_jobs_count_from_0_and_do_not_wait_for_each_other(tmp_path: Path) -> None:
    # Where Slurm confines devices, the first GPU of every job is called 0.
    first, second, third = (Job(tmp_path, 1, SLURM_JOB_ID=job, CUDA_VISIBLE_DEVICES="0") for job in ("7", "8", "8"))
    assert first.says() == "holds 0, sees 0"
    said = {second.says(), third.says()}  # two processes of one Slurm job share its device
    assert said == {"holds 0, sees 0", "waiting for 1 of the GPUs 0: other jobs hold them"}
    for job in (first, second, third):
        job.process.kill()
        job.process.wait()


@pytest.mark.parametrize(("device", "gpus"), [("auto", None), ("auto", ""), ("cpu", "0"), ("cuda", "")])
def test_without_a_gpu_nobody_waits(tmp_path: Path, device: str, gpus: str | None) -> None:
    if gpus is None and Path("/dev/nvidiactl").exists():
        pytest.skip("this machine has a GPU")
    jobs = [Job(tmp_path, 1, gpus, device) for _ in range(2)]
    assert [job.says() for job in jobs] == ["holds , sees None"] * 2  # CUDA, if it is there all the same, is torch's
    for job in jobs:
        job.ends()


def test_who_may_use_other_gpus_does_not_stand_in_line(tmp_path: Path) -> None:
    first, second = (Job(tmp_path, 1, CUDA_VISIBLE_DEVICES="0") for _ in range(2))
    said = {first.says(), second.says()}
    assert said == {"holds 0, sees 0", "waiting for 1 of the GPUs 0: other jobs hold them"}
    other = Job(tmp_path, 1, CUDA_VISIBLE_DEVICES="1")
    assert other.says() == "holds 1, sees 1"
    for job in (first, second, other):
        job.process.kill()
        job.process.wait()


def test_a_slurm_job_without_gpus_of_its_own_sees_none(tmp_path: Path) -> None:
    none = Job(tmp_path, 0, SLURM_JOB_ID="7")
    assert none.says() == "holds , sees "
    uncounted = [Job(tmp_path, 1, SLURM_JOB_ID=job) for job in ("8", "9")]  # they asked, and Slurm gave them no names:
    assert {job.says() for job in uncounted} == {"holds 0, sees 0", "holds 1, sees 1"}  # it has no GPUs in its books
    for job in (none, *uncounted):
        job.ends()


@pytest.mark.parametrize("before", [None, "0,1", "1"])
def test_the_environment_is_afterwards_as_it_was(
    before: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in DECIDE:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COVIDSEG_GPUS", "0,1")
    monkeypatch.setattr(leases.tempfile, "gettempdir", lambda: str(tmp_path))
    if before is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", before)
    with leases.lease("auto", 1, print):
        assert os.environ["CUDA_VISIBLE_DEVICES"] == ("1" if before == "1" else "0")
    assert os.environ.get("CUDA_VISIBLE_DEVICES") == before
    with pytest.raises(KeyError), leases.lease("auto", 1, print):
        raise KeyError  # a job that fails gives back too
    assert os.environ.get("CUDA_VISIBLE_DEVICES") == before


def test_a_folder_without_locks_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setenv("COVIDSEG_GPUS", "0")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(leases.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setattr(leases.fcntl, "flock", refuse)
    with pytest.raises(UserError, match=r"cannot be locked \(No locks available\); set TMPDIR"):
        leases.lease("auto", 1, print).__enter__()


def test_more_gpus_than_there_are_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COVIDSEG_GPUS", "0,1")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    with (
        pytest.raises(UserError, match=r"3 GPUs requested for one job, 2 here \(0, 1\); ask for fewer"),
        leases.lease("auto", 3, print),
    ):
        pass


@pytest.mark.parametrize(
    ("visible", "expected"),
    [("0,1", ["0", "1"]), ("1", ["1"]), ("GPU-5f,MIG-3a", ["GPU-5f", "MIG-3a"]), ("0,-1,1", ["0"]), ("-1", []),
     ("NoDevFiles", [])],
)  # fmt: skip
def test_devices_are_read_as_cuda_reads_them(
    monkeypatch: pytest.MonkeyPatch, visible: str, expected: list[str]
) -> None:
    monkeypatch.setenv("COVIDSEG_GPUS", "0,1,2")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert leases.devices() == expected


@pytest.mark.parametrize(("torch", "expected"), [("2.13.0", ["0", "1"]), ("2.13.0+cpu", [])])
def test_devices_are_counted_without_torch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, torch: str, expected: list[str]
) -> None:
    for name in ("nvidiactl", "nvidia0", "nvidia5", "nvidia-uvm", "nvidia-caps"):  # a container may show any two
        (tmp_path / name).touch()
    for name in DECIDE:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(leases, "DRIVER", tmp_path)
    monkeypatch.setattr(leases.importlib.metadata, "version", lambda _: torch)
    assert leases.devices() == expected
    assert leases.gpus("auto") == bool(expected)


def test_slurms_list_counts_where_cudas_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COVIDSEG_GPUS", "0,1,2,3")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("SLURM_JOB_GPUS", "1,3")
    assert leases.devices() == ["1", "3"]
