"""A setting changes the hash of every result that it reaches and of no other, alone and with other settings."""

from __future__ import annotations

import functools
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from covidseg.plan import Plan

PAPER = """\
paper: {title: t}
protocol: ssanet
defaults:
  dataset: covid-semiseg
  split: infnet-50-48
  classes: [infection]
  input: {size: 64, mode: slice}
  net: {name: unet, width: 0.125}
  losses: {dice: {}}
  train: {epochs: 3, optimizer: {lr: 0.001}}
runs:
  a: {losses: {dice: {weight: 1.0}}}
  b: {input: {prior: {run: a}}}
  c: {dataset: covid-ct-seg, split: ma5}
masks: [a, {run: a, dataset: covid-ct-seg}]
tables:
  one: {caption: One, metrics: {DSC: dsc}, rows: [{label: A, run: a, printed: [0.5]}]}
  two: {caption: Two, metrics: {Dice: dice}, protocol: standard, rows: [{label: C, run: c, printed: [0.6]}]}
claims:
  - {id: b-helps, says: B helps, where: here, better: b, than: a, metric: dsc, by: 0.1}
"""
CONFIG = {"mode": "paper", "preset": "cpu", "papers": ["two"]}
PLACES = {"paper": "papers/two.yaml", "ct": "datasets/covid-ct-seg.yaml", "semi": "datasets/covid-semiseg.yaml",
          "ssanet": "protocols/ssanet.yaml", "cpu": "presets/cpu.yaml"}  # fmt: skip
RUNS = ("a", "b", "c")
DATASETS = ("covid-semiseg", "covid-ct-seg")
CHECKED = (("covid-semiseg", "infnet-50-48"), ("covid-ct-seg", "ma5"))
MASKS = ("two/a", "two/a@covid-ct-seg")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("project")
    shutil.copytree("workflow", folder / "workflow")
    (folder / "workflow" / PLACES["paper"]).write_text(PAPER)
    return folder


@pytest.fixture(autouse=True)
def here(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)


def hashes(**config: object) -> dict[str, str]:
    """Return every hash of a plan but the report's, which is over all that the plan says."""
    plan = Plan.load({**CONFIG, **config})
    of = plan.fingerprints
    found = {f"run {name}": plan.run(f"two/{name}").hash for name in RUNS}
    found |= {f"score {name}": of.score(f"two/{name}") for name in RUNS}
    found |= {f"table {name}": of.table("two", name) for name in ("one", "two")} | {"claims": of.claims("two")}
    for name in DATASETS:
        short = name.removeprefix("covid-")
        steps = {"fetch": of.fetch, "import": of.import_, "lungs": of.lungs, "tensors": of.tensors}
        found |= {f"{step} {short}": hashed(name) for step, hashed in steps.items()}
    found |= {f"leaks {name.removeprefix('covid-')}": of.leaks(name, split) for name, split in CHECKED}
    return found | {f"masks {name.removeprefix('two/')}": of.masks(name) for name in MASKS}


# what is written in place of what, in which file -> the hashes that it changes
EVENTS: dict[str, tuple[str, str, str, str]] = {
    "rate of all": ("paper", "lr: 0.001", "lr: 0.002", "run a, run b, run c, masks a, masks a@covid-ct-seg"),
    "weight of a": ("paper", "weight: 1.0", "weight: 2.0", "run a, masks a, masks a@covid-ct-seg"),
    "split of c": ("paper", "split: ma5}", "split: ma5-patients}", "run c, table two"),
    "reference of b": ("paper", "prior: {run: a}", "prior: {run: a, train: truth}", "run b"),
    "caption": ("paper", "caption: One", "caption: First", "table one"),
    "printed": ("paper", "[0.6]", "[0.7]", "table two"),
    "claimed": ("paper", "by: 0.1", "by: 0.2", "claims"),
    "metric of a claim": ("paper", "metric: dsc, by", "metric: nsd, by", "claims"),
    "title": ("paper", "title: t", "title: u", "table one, table two"),
    "window": ("ct", "[-1250, 250]", "[-1000, 250]", "import ct-seg, lungs ct-seg"),
    "crop": ("ct", "crop: {size: 512}", "crop: {size: 256}", "tensors ct-seg, masks a@covid-ct-seg"),
    "keep": ("ct", "keep: lesion", "keep: all", "tensors ct-seg, leaks semiseg, leaks ct-seg"),
    "source": ("ct", "a5060480eff", "b5060480eff", "fetch ct-seg"),
    "licence": ("ct", "licence: CC", "licence: of CC", ""),
    "phantom": ("ct", "seed: 1,", "seed: 2,", ""),  # in paper mode
    "classes": (
        "semi", "ggo: 1, consolidation: 2", "ggo: 2, consolidation: 1",
        "run a, run b, score a, score b, import semiseg, tensors semiseg, leaks semiseg, leaks ct-seg, masks a, "
        "masks a@covid-ct-seg",
    ),
    "lungs": ("semi", "lungs: r231covidweb", "lungs: r231",
              "run a, run b, lungs semiseg, masks a, masks a@covid-ct-seg"),
    "threshold": ("ssanet", "threshold: 0.5", "threshold: 0.6", "score a, score b, table one"),
    "words of a metric": ("ssanet", "about: >-\n      Dice sim", "about: >-\n      The Dice sim", "table one, claims"),
    "preset": ("cpu", "batch: 4", "batch: 2",
               "run a, run b, run c, table one, table two, claims, masks a, masks a@covid-ct-seg"),
    "words of a preset": ("cpu", "about: fits", "about: fits well", ""),
}  # fmt: skip


@pytest.mark.parametrize(
    ("config", "changed"),
    [
        ({"seeds": [0, 1]}, "score a, score b, score c, table one, table two, masks a, masks a@covid-ct-seg"),
        ({"lungs": {"covid-ct-seg": "threshold"}}, "run c, table two, lungs ct-seg"),
        ({"folds": [0]}, "score c, table two"),  # the others have fold 0 only
        ({"device": "cpu", "mirror": "/"}, ""),
    ],
)
def test_a_key_of_the_configuration_reaches(config: dict[str, object], changed: str) -> None:
    assert differing(hashes(**config), hashes()) == changed.split(", ") * bool(changed)


def check(events: set[str]) -> None:
    """Let all events happen; exactly the hashes that they reach have to be others."""
    before, reached = undisturbed(), set[str]()
    originals = {place: Path("workflow", path).read_text() for place, path in PLACES.items()}
    texts = dict(originals)
    for place, old, new, changed in (EVENTS[event] for event in sorted(events)):
        assert texts[place].count(old) == 1, old
        texts[place] = texts[place].replace(old, new)
        reached |= set(changed.split(", ")) - {""}
    try:
        for place, text in texts.items():
            Path("workflow", PLACES[place]).write_text(text)
        assert set(differing(hashes(), before)) == reached
    finally:
        for place, text in originals.items():
            Path("workflow", PLACES[place]).write_text(text)


@pytest.mark.parametrize("event", EVENTS)
def test_a_setting_changes_the_hashes_that_it_reaches_and_no_other(event: str) -> None:
    check({event})


@settings(max_examples=8, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.sets(st.sampled_from(sorted(EVENTS)), min_size=2, max_size=5))
@example(set(EVENTS))
def test_settings_together_change_what_each_reaches(events: set[str]) -> None:
    check(events)


@functools.cache
def undisturbed() -> dict[str, str]:
    return hashes()


def differing(one: dict[str, str], other: dict[str, str]) -> list[str]:
    return [name for name in one if one[name] != other[name]]
