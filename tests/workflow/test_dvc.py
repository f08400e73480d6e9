"""Data, models and results travel by DVC: repro, push, clone, pull, repro finds nothing to do."""

import shutil
from collections.abc import Callable

from tests.conftest import Project


def test_clone_pull_and_repro_are_clean(fork: Callable[[], Project]) -> None:
    project = fork()
    for folder in ("data", "results", ".snakemake"):  # repro makes everything, stage by stage
        shutil.rmtree(project.folder / folder)
    for command in ("git init -q", "git config user.email a@b.c", "git config user.name a", "git add -A"):
        project.run(*command.split())
    project.run("git", "commit", "-qm", "small demo")
    project.run("dvc", "repro", "--quiet")
    assert "up to date" in project.run("dvc", "status")
    assert "table 3" in project.run("dvc", "metrics", "show", "--json")
    project.run("dvc", "push", "--quiet")
    project.run("git", "add", "dvc.lock")
    project.run("git", "commit", "-qm", "lock")

    project.run("git", "clone", "-q", str(project.folder), str(project.folder.parent / "clone"))
    clone = Project(project.folder.parent / "clone")
    clone.run("dvc", "pull", "--quiet")
    assert "up to date" in clone.run("dvc", "status")
    assert "accepted" in clone.run("covidseg", "adopt")
    assert clone.planned() == {}
    assert "didn't change, skipping" in clone.run("dvc", "repro")
    name = "results/demo/tables/ssanet/3.csv"
    assert (clone.folder / name).read_bytes() == (project.folder / name).read_bytes()

    clone.edit("workflow/presets/small.yaml", "epochs: 0.02", "epochs: 0.04")
    assert "made from another spec (train.epochs was 3, is 6); run snakemake" in clone.run(
        "covidseg", "adopt", fails=True
    )
