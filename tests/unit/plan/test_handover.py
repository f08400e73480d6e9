"""A Snakemake gets its configuration from config.yaml and --config, or whole from the covidseg that starts it."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from covidseg.base.errors import UserError
from covidseg.plan import handover
from covidseg.schema import Config


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv(handover.VARIABLE, raising=False)
    (tmp_path / "config.yaml").write_text("mode: demo\nseeds: [1]\n")
    return tmp_path / "config.yaml"


def test_the_command_line_overrides_the_file(file: Path) -> None:
    assert not handover.in_force()
    assert handover.configuration({"seeds": [2], "device": "cpu"}, file) == {
        "mode": "demo",
        "seeds": [2],
        "device": "cpu",
    }


def test_values_that_were_handed_over_replace_both(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = handover.environment({"mode": "paper", "seeds": [7]})
    assert given["PATH"] == os.environ["PATH"]
    monkeypatch.setenv(handover.VARIABLE, given[handover.VARIABLE])
    assert handover.in_force()
    assert handover.configuration({"seeds": [2]}, file) == {"mode": "paper", "seeds": [7]}


def test_a_configuration_arrives_whole(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sent = Config(mode="paper", seeds=(3, 4), folds=(1,))
    monkeypatch.setenv(handover.VARIABLE, handover.environment(sent)[handover.VARIABLE])
    assert Config.model_validate(handover.configuration({}, file)) == sent


@pytest.mark.parametrize("text", ["", "{", "3", json.dumps(["mode"])])
def test_a_damaged_variable_is_refused(text: str, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(handover.VARIABLE, text)
    with pytest.raises(UserError, match=r"the variable COVIDSEG_SETTINGS holds no configuration .*; unset it and run"):
        handover.configuration({}, file)
