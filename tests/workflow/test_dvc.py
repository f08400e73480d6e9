"""Data, models and results travel by DVC, over a folder and over S3: make, push, clone, pull, adopt, nothing to do."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import boto3
import pytest
from moto.server import ThreadedMotoServer

from tests.conftest import Project

CREDENTIALS = {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "secret-key", "AWS_DEFAULT_REGION": "us-east-1"}


@contextmanager
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Run an S3 server on this machine with an empty bucket; yield its address."""
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        boto3.client("s3", endpoint_url=f"http://{host}:{port}").create_bucket(Bucket="covidseg")
        yield f"http://{host}:{port}"
    finally:
        server.stop()


def test_clone_pull_and_adopt_from_a_folder_and_from_s3(
    fork: Callable[[], Project], monkeypatch: pytest.MonkeyPatch
) -> None:
    project = fork()
    for made in ("data/demo/tensors", "results/demo/runs/ssanet/m1/fold0-seed0", "results/demo/tables"):
        shutil.rmtree(project.folder / made)  # one thing for each stage of repro to make
    for command in ("git init -q", "git config user.email a@b.c", "git config user.name a", "git add -A"):
        project.run(*command.split())
    project.run("git", "commit", "-qm", "small demo")
    project.run("dvc", "repro", "--quiet")
    assert "up to date" in project.run("dvc", "status")
    shown = [line.split() for line in project.run("dvc", "metrics", "show").splitlines()]
    assert ["Path", "DSC", "HD95", "MAE", "NSD"] in shown
    rows = [f"results/demo/report/metrics/ssanet/table-3/{run}.json" for run in ("m1", "m3")]
    assert [line[0] for line in shown if line and line[0].startswith("results/")] == rows
    project.run("dvc", "push", "--quiet")
    project.run("git", "add", "dvc.lock")
    project.run("git", "commit", "-qm", "lock")

    clone = cloned(project, "clone")
    clone.run("dvc", "pull", "--quiet")
    same(clone, project)
    assert "accepted" in clone.run("covidseg", "adopt")
    assert clone.planned() == {}
    assert "didn't change, skipping" in clone.run("dvc", "repro")

    with s3(monkeypatch) as address:
        project.environment |= CREDENTIALS
        project.run("dvc", "remote", "add", "cloud", "s3://covidseg/store")
        project.run("dvc", "remote", "modify", "cloud", "endpointurl", address)
        project.run("dvc", "push", "--quiet", "--remote", "cloud")
        project.run("git", "commit", "-qam", "remote")
        far = cloned(project, "far")
        far.environment |= CREDENTIALS
        far.run("dvc", "pull", "--quiet", "--remote", "cloud")
    same(far, project)
    assert not holds(far.folder, "secret-key")

    clone.edit("workflow/presets/small.yaml", "epochs: 0.02", "epochs: 0.04")
    assert "made with other settings (train.epochs was 3, is 6); run covidseg repair" in clone.run(
        "covidseg", "adopt", fails=True
    )


def cloned(project: Project, name: str) -> Project:
    """Clone a project; what DVC holds is not in it yet."""
    project.run("git", "clone", "-q", str(project.folder), str(project.folder.parent / name))
    clone = Project(project.folder.parent / name)
    assert not (clone.folder / "results/demo/runs").exists()
    return clone


def same(clone: Project, original: Project) -> None:
    """Check that what was pulled is what was pushed."""
    for name in ("results/demo/tables/ssanet/3.csv", "results/demo/runs/ssanet/m1/fold0-seed0/model.safetensors"):
        assert (clone.folder / name).read_bytes() == (original.folder / name).read_bytes()


def holds(folder: Path, text: str) -> bool:
    """Tell whether any file below a folder, but Git's and DVC's own stores, holds a text."""
    files = (Path(top) / name for top, _, names in os.walk(folder) for name in names)
    return any(text.encode() in path.read_bytes() for path in files if ".git" not in path.parts)
