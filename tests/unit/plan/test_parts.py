"""Each part of a plan works with only the parts above it."""

from __future__ import annotations

from pathlib import Path

import pytest

from covidseg.base.errors import UserError
from covidseg.plan import Plan
from covidseg.plan.catalogue import Catalogue
from covidseg.plan.names import fingerprint_of
from covidseg.plan.resolver import Resolver
from covidseg.plan.settings import Settings
from covidseg.plan.targets import Targets
from covidseg.schema import Config, Dataset


def settings(**config: object) -> Settings:
    return Settings.of(Config.model_validate({"papers": ["ssanet"], **config}), "mine.yaml")


def test_settings_name_the_preset_and_the_folders() -> None:
    demo, paper = settings(), settings(mode="paper", results="out")
    assert (demo.preset_name, demo.paths.results) == ("tiny", Path("results/demo"))
    assert (paper.preset_name, paper.paths.results) == ("full", Path("out/paper"))
    with pytest.raises(UserError, match=r"mine\.yaml: unknown preset 'tine'; did you mean 'tiny'"):
        settings(preset="tine")


def test_the_catalogue_alone_knows_data_sets_and_stand_ins() -> None:
    catalogue = Catalogue(settings(mode="paper", stand_ins={"medseg-1": "covid-semiseg"}))
    assert catalogue.stands_for("medseg-1") == "covid-semiseg"
    assert catalogue.class_values("covid-semiseg", ["infection"]) == {"infection": (1, 2)}
    with pytest.raises(UserError, match=r"mine\.yaml: unknown data set 'medseg-9'"):
        catalogue.dataset("medseg-9")


def test_a_fingerprint_is_of_the_value_and_not_of_the_order_of_its_keys() -> None:
    # the first digits of sha256 of: {"a": [2, null], "b": "x"}
    assert (
        fingerprint_of({"b": "x", "a": (2, None)}) == fingerprint_of({"a": [2, None], "b": "x"}) == "19687c8bfd196ffc"
    )


def test_pixels_are_not_learned_from_labels_of_images(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = Plan.load({"papers": ["infnet", "attnfusion"], "mode": "paper"})
    read = plan.catalogue.dataset

    def image_labelled(name: str) -> Dataset:
        return read(name).model_copy(update={"image_labels": "labels.csv"})

    monkeypatch.setattr(plan.catalogue, "dataset", image_labelled)
    with pytest.raises(UserError, match=r"here\.train: covid-semiseg has labels of images only; make labels"):
        plan.checks._check_labels("infnet/infnet", "here")
    plan.checks._check_labels("attnfusion/cls", "here")  # learns labels of images
    plan.checks._check_labels("attnfusion/ours-resnet50", "here")  # learns the labels that such a run makes


def test_the_resolver_needs_only_settings_and_the_catalogue() -> None:
    asked = settings(mode="paper", seeds=[3])
    run = Resolver(asked, Catalogue(asked)).run("ssanet/m4")
    assert (run.seeds, run.folds, run.tensors) == ((3,), (0, 1, 2, 3, 4), [("covid-ct-seg", 512)])


def test_targets_are_what_the_configuration_names() -> None:
    asked = settings(only=["ssanet/m1"])
    catalogue = Catalogue(asked)
    targets = Targets(asked, catalogue, Resolver(asked, catalogue))
    assert targets.runs() == ["ssanet/m1"]
    assert targets.protocols("ssanet/m1")[-1] == "standard"


def test_several_classes_share_the_output_with_background() -> None:
    plan = Plan.load({"mode": "paper"})
    assert [plan.run(run).spec.classes for run in ("ssanet/m4", "ssanet/s4")] == [
        ["infection"],
        ["ggo", "consolidation"],
    ]
    assert [plan.run(run).outputs for run in ("ssanet/m4", "ssanet/s4")] == [1, 3]


def test_a_preset_may_join_the_stages_of_a_training_in_one_job() -> None:
    own, joined = (Plan.load({"mode": "paper", "preset": preset}).run("ssanet/s4") for preset in ("cpu", "tiny"))
    assert own.jobs_before == own.spec.stages == ["round0", "labels1", "round1", "labels2", "round2"]
    assert (joined.jobs_before, joined.spec.stages[:2]) == ([], ["round0", "labels1"])
