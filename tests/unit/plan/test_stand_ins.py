"""Stand-ins: named by the configuration or by a data set, and followed to the end of the chain."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from covidseg.base.errors import UserError
from covidseg.plan import Plan

PRIVATE = """\
title: Scans of one hospital
about: never released
licence: none
importer: medseg_slices
classes: {ggo: 1, consolidation: 2}
unions: {infection: [ggo, consolidation]}
splits: {}
stand_in: covid-ct-seg
"""
PAPER = """\
paper: {title: t}
defaults:
  dataset: private
  split: ma5
  classes: [infection]
  input: {size: 64, mode: slice}
  net: {name: unet, width: 0.125}
  losses: {dice: {}}
runs: {a: {}}
tables:
  "1": {caption: c, protocol: standard, metrics: {Dice: dice}, rows: [{label: l, run: a}]}
"""


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a project with a private data set and a paper that uses it; return its file."""
    shutil.copytree("workflow", tmp_path / "workflow")
    (tmp_path / "workflow/papers/one.yaml").write_text(PAPER)
    file = tmp_path / "workflow/datasets/private.yaml"
    file.write_text(PRIVATE)
    monkeypatch.chdir(tmp_path)
    return file


def load(mode: str = "paper", **config: object) -> Plan:
    return Plan.load({"papers": ["one"], "mode": mode, **config})


def test_a_data_set_names_its_own_stand_in() -> None:
    plan = load()
    run = plan.run("one/a")
    assert (run.spec.dataset, run.spec.split, run.stand_ins) == ("covid-ct-seg", "ma5", (("private", "covid-ct-seg"),))
    assert plan.resolver.caveats(run)[0] == "covid-ct-seg stands in for private"
    assert plan.graph.all_datasets() == ["covid-ct-seg"]


def test_a_chain_of_stand_ins_is_followed_and_its_end_is_named() -> None:
    plan = load(stand_ins={"covid-ct-seg": "zenodo20-slices"})
    run = plan.run("one/a")
    assert (run.spec.dataset, run.spec.split) == ("zenodo20-slices", "ma5-zenodo20")
    assert run.stand_ins == (("private", "zenodo20-slices"),)
    assert "zenodo20-slices stands in for private" in plan.resolver.caveats(run)


def test_the_configuration_goes_before_the_data_set() -> None:
    assert load(stand_ins={"private": "zenodo20-slices"}).run("one/a").spec.dataset == "zenodo20-slices"
    assert load(stand_ins={"private": "private"}).run("one/a").stand_ins == ()


def test_a_phantom_twin_needs_no_stand_in(project: Path) -> None:
    assert load("demo").run("one/a").spec.dataset == "covid-ct-seg"  # it has no twin of its own
    twin = "phantom: {seed: 1, size: 64, lung: 0.2, ggo: 0.1, consolidation: 0.1}\n"
    project.write_text(PRIVATE + twin)
    assert load("demo").run("one/a").stand_ins == ()


def test_a_chain_that_comes_back_is_refused() -> None:
    with pytest.raises(UserError) as e:
        load(stand_ins={"covid-ct-seg": "zenodo20-slices", "zenodo20-slices": "private"})
    said = "a circle, covid-ct-seg to zenodo20-slices to private to covid-ct-seg; remove one of them"
    assert str(e.value) == f"config.yaml: stand_ins: {said}"


def test_an_unknown_stand_in_is_named(project: Path) -> None:
    project.write_text(PRIVATE.replace("stand_in: covid-ct-seg", "stand_in: covid-ct-sag"))
    with pytest.raises(UserError) as e:
        load()
    said = "unknown data set 'covid-ct-sag'; did you mean 'covid-ct-seg'?"
    assert str(e.value) == f"workflow/datasets/private.yaml: stand_in: {said}"


def test_without_a_stand_in_nothing_of_a_data_set_is_hashed_anew() -> None:
    plan = load()
    assert "stand_in" not in plan.dataset("covid-ct-seg").model_dump(mode="json")


def test_an_unused_chain_is_checked_too() -> None:
    with pytest.raises(UserError, match="a circle, medseg-1 to medseg-2 to medseg-1; remove one of them"):
        load(stand_ins={"medseg-1": "medseg-2", "medseg-2": "medseg-1"})
