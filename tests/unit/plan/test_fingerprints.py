"""What decides a result is in its fingerprint, and nothing else is."""

from __future__ import annotations

import functools
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from covidseg.jobs import record
from covidseg.plan import Plan
from covidseg.plan.catalogue import Catalogue
from covidseg.plan.resolver import Resolver
from covidseg.plan.settings import Settings
from covidseg.schema import Config, Paper
from tests.conftest import ROOT

SOURCE = ROOT / "src" / "covidseg"
FULL = {"mode": "paper", "preset": "full", "papers": ["ssanet", "infnet"]}


@pytest.mark.parametrize(
    ("module", "old", "new"),
    [
        ("train/methods/propagation.py", '"epochs": self.finetune_epochs', '"epochs": self.step_epochs'),
        ("train/methods/propagation.py", '"batch": self.finetune_batch', '"batch": self.step_batch'),
        ("train/methods/propagation.py", '{"lr": self.finetune_lr', '{"lr": self.step_lr'),
        ("train/methods/propagation.py", '"epochs": settings.step_epochs', '"epochs": settings.epochs'),
        ("train/methods/propagation.py", '"batch": settings.step_batch', '"batch": settings.batch'),
        ("train/methods/propagation.py", '{"lr": settings.step_lr', '{"lr": settings.finetune_lr'),
        ("train/optimizer.py", "self.settings.recreate or", "self.settings.recreate and"),
    ],
)
def test_code_that_computes_a_setting_counts(
    module: str, old: str, new: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(SOURCE, tmp_path / "covidseg", ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(record, "PACKAGE", tmp_path / "covidseg")
    modules = Plan.load(FULL).fingerprints.train_modules(Plan.load(FULL).run("infnet/semi-infnet").spec)
    record._module.cache_clear()
    before = record.code_fingerprint(*modules)
    file = tmp_path / "covidseg" / module
    assert file.read_text().count(old) >= 1
    file.write_text(file.read_text().replace(old, new))
    record._module.cache_clear()
    after = record.code_fingerprint(*modules)
    record._module.cache_clear()
    assert after != before


@pytest.mark.parametrize("run", ["ssanet/m4", "infnet/semi-infnet", "ssanet/s4"])
def test_a_preset_decides_nothing_beyond_the_resolved_settings(run: str) -> None:
    """A run whose own settings are those that a preset makes of it is the same run without the preset."""
    plan = Plan.load({**FULL, "preset": "cpu", "init": "random"})
    scaled = plan.run(run)
    given = scaled.spec.model_dump(mode="json", exclude={"lungs", "threads", "values"})
    same = resolved({"same": given}, preset="full", init="random").run("one/same")
    assert same.spec.model_dump(exclude={"threads"}) == scaled.spec.model_dump(exclude={"threads"})


def test_models_behind_the_data_are_trained_once() -> None:
    plan = Plan.load({"seeds": [3, 1, 2], "folds": "all"})
    assert plan.run("lungmask/phantom").jobs == [(0, 3)]
    assert plan.run("ssanet/m1").seeds == (3, 1, 2)


def test_the_source_of_lung_masks_is_in_their_hash() -> None:
    plans = [Plan.load({**FULL, "lungs": lungs}) for lungs in ({}, {"covid-ct-seg": "threshold"})]
    own, other = (plan.fingerprints for plan in plans)
    assert own.lungs("covid-ct-seg") != other.lungs("covid-ct-seg")
    assert own.lungs("covid-semiseg") == other.lungs("covid-semiseg")
    assert own.import_("covid-ct-seg") == other.import_("covid-ct-seg")
    assert plans[0].run("ssanet/m1").hash != plans[1].run("ssanet/m1").hash


def test_the_wording_of_a_protocol_does_not_decide_scores(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = Plan.load(FULL)
    read, usual = plan.catalogue.protocol, plan.fingerprints.score("ssanet/m4")

    def scored(**changes: object) -> str:
        monkeypatch.setattr(plan.catalogue, "protocol", lambda name: read(name).model_copy(update=changes))
        return plan.fingerprints.score("ssanet/m4")

    assert scored(title="Another", about="Other words.") == usual
    assert scored(tolerance=2.5) != usual


def test_lung_masks_of_a_trained_network_depend_on_its_code() -> None:
    assert Plan.load({}).fingerprints.lung_modules("covid-semiseg") == [
        "lungs",
        "lungs.sources.phantom",
        "lungs.trained",
    ]
    assert Plan.load({**FULL, "lungs": {"covid-semiseg": "none"}}).fingerprints.lung_modules("covid-semiseg") == [
        "lungs",
        "lungs.sources.none",
    ]


# ---- properties over generated plans

BASE: dict[str, Any] = {
    "dataset": "covid-semiseg",
    "split": "infnet-50-48",
    "classes": ["infection"],
    "input": {"size": 64, "mode": "slice"},
    "net": {"name": "unet", "width": 0.125},
    "losses": {"dice": {"weight": 1.0}},
    "train": {"epochs": 10, "batch": 2, "optimizer": {"lr": 0.001}},
}
CHANGES: list[tuple[tuple[str, ...], st.SearchStrategy[Any]]] = [
    (("input", "size"), st.sampled_from([32, 64, 96])),
    (("input", "mode"), st.sampled_from(["slice", "masked", "slice+lung"])),
    (("net", "width"), st.sampled_from([0.125, 0.25])),
    (("losses", "dice", "weight"), st.sampled_from([0.5, 1.0, 2.0])),
    (("train", "epochs"), st.integers(1, 40)),
    (("train", "batch"), st.integers(1, 8)),
    (("train", "accumulate"), st.integers(1, 3)),
    (("train", "slices_per_epoch"), st.integers(0, 3)),
    (("train", "optimizer", "lr"), st.sampled_from([0.001, 0.01])),
    (("train", "optimizer", "recreate"), st.booleans()),
    (("train", "optimizer", "clamp"), st.sampled_from([0.0, 0.5])),
    (("classes",), st.sampled_from([["infection"], ["ggo"], ["consolidation"]])),
    (("split",), st.sampled_from(["infnet-50-48", "infnet-45-5-48"])),
]


def resolved(runs: dict[str, Any], **config: Any) -> Resolver:
    """Return the runs of a paper that is in no file."""
    asked = Settings.of(Config.model_validate({**FULL, "papers": ["ssanet"], **config}), "config.yaml")
    catalogue = Catalogue(asked)
    text = yaml.safe_dump({"paper": {"title": "t"}, "defaults": {}, "runs": runs})
    catalogue.papers["one"] = Paper.model_validate(yaml.safe_load(text))
    return Resolver(asked, catalogue)


def changed(path: tuple[str, ...], value: Any) -> dict[str, Any]:
    def put(base: Any, keys: tuple[str, ...]) -> Any:
        return {**(base or {}), keys[0]: put((base or {}).get(keys[0]), keys[1:])} if keys else value

    return put(BASE, path)


@functools.cache
def before() -> tuple[dict[str, Any], str]:
    found = resolved({"a": BASE}).run("one/a")
    return found.spec.model_dump(), found.hash


@settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_a_setting_changes_the_hash_of_its_run_and_of_no_other(data: st.DataObject) -> None:
    path, values = data.draw(st.sampled_from(CHANGES))
    value = data.draw(values)
    plan = resolved({"a": changed(path, value), "b": BASE})
    spec, usual = before()
    assert plan.run("one/b").hash == usual
    assert (plan.run("one/a").hash == usual) == (plan.run("one/a").spec.model_dump() == spec)
    default = functools.reduce(lambda base, key: base.get(key) if base else None, path, BASE)
    if default is not None:
        assert (plan.run("one/a").hash == usual) == (value == default)
