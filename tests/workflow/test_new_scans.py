"""New scans in a user's folder retrain nothing: a training depends on the content of its own cases."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import pytest

from covidseg.base.files import sha256, write_json
from covidseg.plan import Plan
from covidseg.upkeep.content import data_inputs, settled
from tests.conftest import SMALL, Project, copy_project
from tests.workflow.test_own_data import read, write_scans

PAPER = """\
paper: {title: Ours}
dataset: {folder: %s}
defaults:
  net: {name: unet, width: 0.125}
  losses: {dice: {}}
runs:
  ours: {}
  pooled: {train: {method: self_training, pool: {dataset: mine}}}
masks: [ours]
"""
CONFIG = {"mode": "paper", "papers": ["mine"], "preset": "small", "only": ["mine/ours"]}
ASKED = ["--config", "mode=paper", "papers=[mine]", "preset=small", "only=[mine/ours]"]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """Return a project with a user's folder as tensors, and trainings that are said to be finished."""
    (tmp_path / "project").mkdir()
    project = copy_project(tmp_path / "project")
    write_scans(tmp_path / "scans")
    (project.folder / "workflow/papers/mine.yaml").write_text(PAPER % (tmp_path / "scans"))
    (project.folder / "workflow/presets/small.yaml").write_text(f"{SMALL}rounds: 1\n")
    project.snakemake("--quiet", "all", *ASKED, "--until", "tensors", "split")
    monkeypatch.chdir(project.folder)
    plan = Plan.load(CONFIG)
    run = plan.run("mine/ours")
    for fold, seed in run.jobs:
        folder = plan.paths.job(run.id, fold, seed)
        inputs = data_inputs(plan, run, fold) | {"split": sha256(plan.catalogue.split_path(run.spec.split))}
        for name in ("model.safetensors", "history.csv", "predictions.h5"):
            folder.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text("made")
        write_json(folder / "run.json", {"spec_hash": run.hash, "inputs": inputs, "outputs": {}})
    return project


def trainings(project: Project) -> int:
    """Return how many trainings a dry run lists."""
    said = project.snakemake("--dry-run", "--nocolor", *ASKED).splitlines()
    return max((int(line.split()[1]) for line in said if re.fullmatch(r"train +\d+", line)), default=0)


def test_only_a_change_of_its_own_cases_lists_a_training(project: Project, tmp_path: Path) -> None:
    scans, plan = tmp_path / "scans", Plan.load(CONFIG)
    run = plan.run("mine/ours")
    assert trainings(project) == 0
    shutil.copy(scans / "imagesTs/new_0000.nii.gz", scans / "imagesTs/another_0000.nii.gz")
    os.utime(scans / "imagesTs/new_0000.nii.gz")
    assert trainings(project) == 0
    assert settled(plan, run, 0, 0)
    assert not settled(plan, plan.run("mine/pooled"), 0, 0)  # to it the new scan is new
    project.snakemake("--quiet", "all", *ASKED, "--until", "tensors", "split")  # imports the new scan
    assert [row["case"] for row in read(plan.paths.tensors("mine", 32) / "slices.csv")][::3] == [
        "scan01", "scan02", "scan03", "another", "new",
    ]  # fmt: skip
    assert trainings(project) == 0
    labels = scans / "labelsTr"
    shutil.copy(labels / "scan01.nii.gz", labels / "scan02.nii.gz")
    assert not settled(plan, run, 0, 0)
    assert trainings(project) == 3
