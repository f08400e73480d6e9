"""The configuration as the commands of a workflow read it, and the hash of what a plan has read."""

from __future__ import annotations

from pathlib import Path

import pytest

from covidseg.plan import Plan


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    return Plan.load({"papers": ["infnet"], "seeds": [3], "results": str(tmp_path / "results")})


def test_a_snapshot_reads_as_the_configuration_in_force(plan: Plan, tmp_path: Path) -> None:
    path = plan.snapshot()
    assert path.parent == tmp_path / "results" / "demo" / "configs"
    lines = path.read_text("utf-8").splitlines()
    assert lines[0].startswith("# ")
    assert lines[1:3] == ["mode: demo", "preset: auto"]  # in the order of config.yaml, not of letters
    read = Plan.load(path)
    assert (read.config, read.source) == (plan.config, str(path))


def test_a_snapshot_of_other_content_is_replaced_and_an_equal_one_left(plan: Plan) -> None:
    path = plan.snapshot()
    text, made = path.read_bytes(), path.stat().st_ino
    assert (plan.snapshot(), path.stat().st_ino) == (path, made)
    path.write_text("seeds: [4]\n")
    assert plan.snapshot() == path
    assert path.read_bytes() == text


def test_the_state_is_sixteen_digits_that_settings_change(plan: Plan) -> None:
    state = plan.state()
    assert len(state) == 16
    assert Plan.load(plan.snapshot()).state() == state
    assert Plan.load({"papers": ["infnet"], "seeds": [4], "results": plan.config.results}).state() != state
