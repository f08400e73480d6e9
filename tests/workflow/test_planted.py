"""What lies in a results folder that came from somebody else: read as values at most, never run, never in force."""

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from covidseg.base.errors import UserError
from covidseg.plan import handover
from tests.conftest import Project

PLANTED = """\
__use_yte__: true
__definitions__:
  - import pathlib; pathlib.Path("pwned").touch()
mode: demo
seeds: [7]
"""
# What covidseg resume asks of Snakemake with the configuration that a note holds.
LOOK = """
import json, sys
from pathlib import Path
from covidseg.plan import Plan
from covidseg.upkeep import orphans
config = Plan.load(Path("config.yaml")).config.model_dump(mode="json")
orphans._snakemake("--unlock", config=config)
print(orphans._snakemake("--summary", config=config))
"""


def test_a_planted_snapshot_is_neither_run_nor_in_force(fork: Callable[[], Project]) -> None:
    project = fork()
    snapshots = list((project.folder / "results/demo/configs").glob("*.yaml"))
    assert snapshots
    for snapshot in snapshots:
        snapshot.write_text(PLANTED)
    summary = project.run("python", "-c", LOOK)
    assert "results/demo/report.html" in summary
    assert "seed7" not in summary
    assert not (project.folder / "pwned").exists()
    assert [yaml.safe_load(snapshot.read_text())["seeds"] for snapshot in snapshots] == [[0]]
    assert project.planned() == {}


def test_settings_are_handed_over_as_values(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("mode: paper\nseeds: [1]\n")
    assert handover.configuration({"seeds": [2]}, file) == {"mode": "paper", "seeds": [2]}
    handed_over = handover.environment({"mode": "demo", "stand_ins": {}})
    assert handed_over["COVIDSEG_SETTINGS"] == '{"mode": "demo", "stand_ins": {}}'
    monkeypatch.setenv("COVIDSEG_SETTINGS", handed_over["COVIDSEG_SETTINGS"])
    assert handover.configuration({"seeds": [2]}, file) == {
        "mode": "demo",
        "stand_ins": {},
    }  # the whole of it: nothing is mixed
    for bad in ("{", "[1]", "3", "[" * 100_000):
        monkeypatch.setenv("COVIDSEG_SETTINGS", bad)
        with pytest.raises(UserError, match=r"COVIDSEG_SETTINGS holds no configuration .*; unset it and run again"):
            handover.configuration({}, file)
