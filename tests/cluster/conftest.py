"""The cluster suite: a real Slurm on this machine, started for it and ended after it."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster import slurm as harness
from tests.conftest import Project


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if os.environ.get("COVIDSEG_CLUSTER") != "1":
        reason = "starts a Slurm and takes minutes: make cluster"
        for item in items:
            if Path(__file__).parent in item.path.parents:
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def slurm() -> Iterator[harness.Slurm]:
    """A running Slurm: node n1 with two GPUs, node n2 without."""
    problems = harness.missing()
    if importlib.util.find_spec("snakemake_executor_plugin_slurm") is None:
        problems.append("Snakemake's Slurm plugin is not installed: make cluster")
    if problems := problems or harness.install():
        pytest.skip(f"THE CLUSTER SUITE DID NOT RUN: {'; '.join(problems)}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # else it would leave Slurm behind
    folder = Path(tempfile.mkdtemp(prefix="covidseg-slurm-"))
    running = harness.Slurm(folder)
    try:
        running.start()
        yield running
    finally:
        running.stop()
        shutil.rmtree(folder)


@pytest.fixture
def project(slurm: harness.Slurm, finished: Project, tmp_path: Path) -> Project:
    """A copy of the finished small demo whose jobs know Slurm's plugin and the fake GPUs."""
    shutil.copytree(finished.folder, tmp_path / "project", copy_function=shutil.copy2)
    project = Project(tmp_path / "project")
    plugin = importlib.util.find_spec("snakemake_executor_plugin_slurm")
    assert plugin
    assert plugin.origin
    project.environment["PYTHONPATH"] += f":{Path(plugin.origin).parents[1]}"
    project.environment["COVIDSEG_GPUS"] = "0,1"
    return project
