"""What a killed Snakemake leaves behind, and what of it may be taken for whole."""

import base64
import errno
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from covidseg.base.errors import UserError
from covidseg.upkeep import orphans

SNAKEMAKE = """
import errno, fcntl, sys
from pathlib import Path
from types import SimpleNamespace
from covidseg.schema import Config
from covidseg.upkeep import orphans

lock = fcntl.flock

def nfs(file, how):  # over NFS a lock for one alone needs a file that is open for writing
    if how & fcntl.LOCK_EX and not file.writable():
        raise OSError(errno.EBADF, "bad file descriptor")
    lock(file, how)

fcntl.flock = nfs
plan = SimpleNamespace(config=Config(), paths=SimpleNamespace(data="data", results="results"))
orphans.begin(plan, sys.argv[1] == "slurm", Path(sys.argv[-1]))
print("begun", flush=True)
sys.stdin.readline()
"""


@pytest.fixture(autouse=True)
def _project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "workflow").mkdir()


def begin(executor: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", SNAKEMAKE, executor, "--directory", "."],
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert process.stdout
    assert process.stdout.readline() == "begun\n"
    return process


def queue(folder: Path, *lines: str) -> None:
    """Put a squeue on the path that prints these lines."""
    program = folder / "bin" / "squeue"
    program.parent.mkdir(exist_ok=True)
    program.write_text("#!/bin/sh\ncat <<'END'\n" + "".join(f"{line}\n" for line in lines) + "END\n")
    program.chmod(0o755)
    os.environ["PATH"] = f"{program.parent}:{os.environ['PATH']}"


def test_a_note_lives_and_dies_with_its_snakemake() -> None:
    ended, killed = begin("local"), begin("local")
    assert [orphans.alive(note) for note in orphans.notes()] == [True, True]
    with pytest.raises(UserError, match="a Snakemake still runs here"):
        orphans.resume(None, print)
    ended.communicate("\n")
    killed.kill()
    killed.wait()
    (left,) = orphans.notes()
    assert not orphans.alive(left)
    assert left.stem.endswith(f"-{killed.pid}")
    assert json.loads(left.read_text())["arguments"] == ["local", "--directory", "."]


def test_without_locks_the_process_tells(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(orphans.fcntl, "flock", refuse)
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    here = platform.node()
    notes = {f"{here}-{os.getpid()}": True, f"{here}-{ended.pid}": False, f"elsewhere-{ended.pid}": True}
    for name in notes:
        Path(f"{name}.json").write_text("{}")
    assert {name: orphans.alive(Path(f"{name}.json")) for name in notes} == notes


def test_another_snakemake_refuses_beside_jobs_of_a_killed_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", os.environ["PATH"])
    queue(tmp_path)
    first, here = begin("slurm"), Path.cwd()
    queue(
        tmp_path,
        f"7|RUNNING|covidseg_0a1b|rule_train_wildcards_ssanet_m1_0_0|{here}",
        f"8|PENDING|other_0a1b|rule_train|{here}",
        "9|RUNNING|covidseg_0a1b|rule_train|/elsewhere",
        "10|RUNNING|theirs|a comment",
        f"of two lines|{here}",
    )
    assert orphans.queue() == [orphans.Job("7", "running", "train ssanet_m1_0_0")]
    begin("slurm").communicate("\n")  # beside a living one these are its jobs
    first.kill()
    first.wait()
    refused = subprocess.run([sys.executable, "-c", SNAKEMAKE, "slurm", "."], capture_output=True, text=True)
    assert "1 job is still in the queue of a Snakemake that was killed; run: covidseg resume" in refused.stderr
    refused = subprocess.run([sys.executable, "-c", SNAKEMAKE, "local", "."], capture_output=True, text=True)
    assert "1 job is still in the queue" in refused.stderr
    with pytest.raises(UserError, match="1 job is still in the queue; say --orphans wait or --orphans cancel"):
        orphans.resume(None, print)


def test_jobs_that_ended_by_themselves_hinder_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", os.environ["PATH"])
    queue(tmp_path)
    killed = begin("slurm")
    killed.kill()
    killed.wait()
    again = begin("slurm")
    assert [note.stem.rpartition("-")[2] for note in orphans.notes()] == [str(again.pid)]
    again.communicate("\n")
    assert orphans.notes() == []


def test_jobs_that_could_not_be_found_again_are_not_sent_to_the_queue(tmp_path: Path) -> None:
    command = [sys.executable, "-c", SNAKEMAKE, "slurm", str(tmp_path / "workflow")]
    refused = subprocess.run(command, capture_output=True, text=True)
    assert f"start Snakemake in {tmp_path}" in refused.stderr


def test_outputs_are_whole_that_are_new_and_unmarked_or_all_that_their_job_makes() -> None:
    long = f"results/{'x' * 150}.csv"
    made = {
        "results/new.csv": 200, "results/old.csv": 99, "results/missing.csv": None, long: 200, "m1/model": 200,
        "m1/run.json": 200, "m2/model": 200, "m2/run.json": None, "m3/model": 99, "m3/run.json": 200,
    }  # fmt: skip
    for file, time in made.items():
        if time:
            Path(file).parent.mkdir(exist_ok=True)
            Path(file).write_text("")
            os.utime(file, (time, time))
    for file in (name for name in made if name == long or name[0] == "m"):  # Snakemake's marks; long names are cut
        name = base64.urlsafe_b64encode(file.encode()).decode()
        path = Path(".snakemake/incomplete", *(["@" + name[:100], name[100:]] if len(name) > 100 else [name]))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{}")
    outputs = [(file, "train" if file[0] == "m" else "table") for file in made]
    assert orphans._finished(outputs, since=100) == ["results/new.csv", "m1/model", "m1/run.json"]


def test_a_change_of_settings_changes_the_identity() -> None:
    before = orphans.identity()
    Path("workflow/paper.yaml").write_text("a: 1\n")
    assert orphans.identity() != before


def test_resuming_becomes_snakemake() -> None:
    code = "from covidseg.upkeep import orphans; orphans._repeat([('--version',)], print); print('after')"
    done = subprocess.run([sys.executable, "-uc", code], capture_output=True, text=True, check=True)
    said, version = done.stdout.splitlines()
    assert said == "snakemake --version"
    assert version == importlib.metadata.version("snakemake")
