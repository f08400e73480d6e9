"""A Snakemake of this machine dies and its training runs on: resuming runs it neither twice at once nor again."""

import json
import os
import signal
import subprocess
from collections.abc import Callable
from typing import Any

from tests.conftest import Project

JOB = "results/demo/runs/ssanet/m3/fold0-seed0"


def test_a_training_that_was_left_here_is_taken_over(fork: Callable[[], Project]) -> None:
    project = fork()
    before = (project.folder / JOB / "model.safetensors").read_bytes()
    (project.folder / JOB / "run.json").unlink()
    command = ["snakemake", "--cores", "1", "--", f"{JOB}/run.json"]
    snakemake = subprocess.Popen(command, cwd=project.folder, env=project.environment, stderr=subprocess.DEVNULL)
    left = stopped(project, snakemake)
    snakemake.kill()
    snakemake.wait()

    resumed = subprocess.Popen(
        ["covidseg", "resume", "--orphans", "wait"], cwd=project.folder, env=project.environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    assert resumed.stdout
    said = [resumed.stdout.readline() for _ in range(2)]
    assert said == [f"{left} running here: train ssanet/m3 0 0\n", "waiting for 1 job to finish\n"]
    os.kill(left, signal.SIGCONT)
    text = resumed.communicate()[0]
    assert resumed.returncode == 0, text
    assert "taken over: 4 files" in text  # run.json, model, history, predictions
    assert "Nothing to be done" in text
    assert (project.folder / JOB / "model.safetensors").read_bytes() == before


def test_ctrl_c_is_said_as_a_stop(fork: Callable[[], Project]) -> None:
    project = fork()
    (project.folder / JOB / "run.json").unlink()
    command = ["snakemake", "--cores", "1", "--logger", "covidseg", "--quiet", "all", "--", f"{JOB}/run.json"]
    snakemake = subprocess.Popen(
        command, cwd=project.folder, env=project.environment, text=True, stderr=subprocess.PIPE, start_new_session=True
    )
    left = stopped(project, snakemake)
    os.killpg(snakemake.pid, signal.SIGINT)  # as a terminal does
    os.kill(left, signal.SIGCONT)
    said = snakemake.communicate()[1]
    assert "stopped: train ssanet/m3 fold 0 seed 0" in said
    assert "failed" not in said


def stopped(project: Project, snakemake: subprocess.Popen[Any]) -> int:
    """Wait until Snakemake's training runs; stop it and return its process."""
    while True:
        for file in (project.folder / ".snakemake/covidseg/jobs").glob("*.json"):
            if text := file.read_text():
                process = int(json.loads(text)["pid"])
                os.kill(process, signal.SIGSTOP)
                return process
        try:
            snakemake.wait(0.05)
        except subprocess.TimeoutExpired:
            continue
        raise AssertionError("Snakemake ended before a training ran")
