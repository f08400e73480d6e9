"""Snakemake dies, its jobs run on: resuming runs none of them twice."""

import json
import subprocess

import pytest

from tests.cluster.slurm import Slurm
from tests.cluster.test_demo import PROFILE
from tests.conftest import Project

TARGET = "results/demo/runs/ssanet/m3/cases.csv"
FIRST, SECOND = ("rule_train_wildcards_ssanet_m3_0_0", "rule_train_wildcards_ssanet_m3_1_0")


def killed(slurm: Slurm, project: Project, *more: str) -> dict[str, str]:
    """Change a run, start its two trainings, hold them, kill Snakemake; return training -> Slurm job."""
    project.edit("workflow/papers/ssanet.yaml", "m3: {losses: {self_attention: false}}", "m3: {train: {batch: 4}}")
    project.edit("workflow/presets/small.yaml", "batch: 8\n", "")
    project.edit("workflow/papers/ssanet.yaml", "batch: 2\n", "batch: 8\n")
    before = {job["id"] for job in slurm.jobs()}
    with open(project.folder.parent / "log", "w") as log:
        snakemake = subprocess.Popen(
            [*PROFILE, *more, "--", TARGET], cwd=project.folder, env=project.environment, stdout=log, stderr=log
        )
    held: dict[str, str] = {}

    def both_held() -> bool:
        assert snakemake.poll() is None, (project.folder.parent / "log").read_text()
        for job in slurm.jobs():
            if job["id"] in before or job["state"] not in ("RUNNING", "STOPPED") or job["comment"] in held:
                continue
            # A signal reaches no process that is not there yet: a job is held once it has some and all are stopped.
            found = slurm.process_states(job["id"])
            if found == {"T"}:
                held[job["comment"]] = job["id"]
            elif found:
                slurm.do("scancel", "--full", "-s", "STOP", job["id"])
        return len(held) == 2

    try:
        slurm.wait(both_held, "two trainings", 300)
    finally:
        snakemake.kill()
        snakemake.wait()
    assert set(held) == {FIRST, SECOND}
    return held


def states(slurm: Slurm, since: dict[str, str]) -> dict[str, list[str]]:
    """Return training -> states of its jobs, from those that were held on."""
    found: dict[str, list[str]] = {FIRST: [], SECOND: []}
    for job in sorted(slurm.jobs(), key=lambda job: int(job["id"])):
        if job["comment"] in found and int(job["id"]) >= min(map(int, since.values())):
            found[job["comment"]].append(job["state"])
    return found


def test_waiting_runs_nothing_twice(slurm: Slurm, project: Project) -> None:
    held = killed(slurm, project)
    again = [*PROFILE, "--", TARGET]
    assert "one was killed; if none does, run: covidseg resume" in project.run(*again, fails=True)  # Snakemake's lock
    project.snakemake("--unlock")  # the trap: now both would run twice
    text = project.run(*again, fails=True)
    assert "2 jobs are still in the queue of a Snakemake that was killed; run: covidseg resume" in text
    text = project.run("covidseg", "resume", fails=True)
    assert f"{held[FIRST]} stopped: train ssanet_m3_0_0" in text
    assert "2 jobs are still in the queue; say --orphans wait or --orphans cancel" in text
    assert states(slurm, held) == {FIRST: ["STOPPED"], SECOND: ["STOPPED"]}

    resumed = subprocess.Popen(
        ["covidseg", "resume", "--orphans", "wait"], cwd=project.folder, env=project.environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    assert resumed.stdout
    said = [resumed.stdout.readline() for _ in range(3)]
    assert said[2] == "waiting for 2 jobs to finish\n"
    for job in held.values():
        slurm.do("scancel", "--full", "-s", "CONT", job)
    text = resumed.communicate(timeout=600)[0]
    assert resumed.returncode == 0, text
    assert "taken over: 8 files" in text  # four of each training
    assert states(slurm, held) == {FIRST: ["COMPLETED"], SECOND: ["COMPLETED"]}
    assert project.planned().keys().isdisjoint({"train", "score"})


def test_cancelling_starts_each_once_more(slurm: Slurm, project: Project) -> None:
    # As sites ask for GPUs that refuse --gpus: the job holds what it was given all the same.
    held = killed(slurm, project, "--set-resources", "train:gpu=0", "train:gres=gpu:1")
    assert sorted(slurm.gpus_of(job) for job in held.values()) == [["0"], ["1"]]
    text = project.run("covidseg", "resume", "--orphans", "cancel")
    assert "waiting for 2 jobs to end" in text
    assert states(slurm, held) == {FIRST: ["CANCELLED", "COMPLETED"], SECOND: ["CANCELLED", "COMPLETED"]}
    assert project.planned().keys().isdisjoint({"train", "score"})
    record = project.folder / "results/demo/runs/ssanet/m3/fold0-seed0/run.json"
    assert len(json.loads(record.read_text())["gpus"]) == 1
    assert "no Snakemake was killed here" in project.run("covidseg", "resume", fails=True)


@pytest.fixture(autouse=True)
def _empty_queue(slurm: Slurm) -> None:
    slurm.wait(lambda: not slurm.do("squeue", "-h").strip(), "an empty queue", 30)
