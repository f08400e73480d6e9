"""Each part of a plan works with only the parts above it."""

from __future__ import annotations

from pathlib import Path

import pytest

from covidseg.base.errors import UserError
from covidseg.plan.catalogue import Catalogue
from covidseg.plan.resolver import Resolver
from covidseg.plan.settings import Settings
from covidseg.plan.targets import Targets
from covidseg.schema import Config


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
