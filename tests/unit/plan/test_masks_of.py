"""Masks of another data set's scans, by a run that did not learn from them."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import numpy as np
import pytest

from covidseg import nets, steps
from covidseg.base.errors import UserError
from covidseg.base.files import sha256
from covidseg.data import canonical
from covidseg.inference.masks import mask_values
from covidseg.lungs import write_masks
from covidseg.plan import Plan, Run
from covidseg.train.predict import save_model
from covidseg.upkeep.freshness import masks_problem
from tests.records import write_record

PAPER = """\
paper: {title: t}
defaults:
  dataset: covid-semiseg
  split: infnet-50-48
  classes: [infection]
  input: {size: 64, mode: slice}
  net: {name: unet, width: 0.125}
  losses: {dice: {}}
runs:
  a: {}
  b: {input: {mode: masked}}
  c: {train: {method: self_training, pool: {dataset: covid-ct-seg}}}
masks: [a, {run: a, dataset: covid-ct-seg}]
"""


@pytest.fixture(autouse=True)
def paper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree("workflow", tmp_path / "workflow")
    file = tmp_path / "workflow/papers/one.yaml"
    file.write_text(PAPER)
    monkeypatch.chdir(tmp_path)
    return file


def load(**config: object) -> Plan:
    return Plan.load({"papers": ["one"], "mode": "paper", **config})


def test_masks_of_another_data_set_have_a_name_and_a_place_of_their_own() -> None:
    plan = load()
    assert plan.targets.masks() == ["one/a", "one/a@covid-ct-seg"]
    run, dataset = plan.targets.masks_of("one/a@covid-ct-seg")
    assert (run.id, dataset, plan.targets.masks_of("one/a")[1]) == ("one/a", "covid-ct-seg", "covid-semiseg")
    assert plan.targets.runs() == ["one/a"]
    assert plan.graph.all_datasets() == ["covid-semiseg", "covid-ct-seg"]
    assert plan.graph.tensor_sets() == [("covid-semiseg", 64)]  # whole scans need no tensors
    assert str(plan.paths.masks("one/a@covid-ct-seg")) == "results/paper/masks/one/a@covid-ct-seg"
    hashes = plan.fingerprints
    assert hashes.masks("one/a") != hashes.masks("one/a@covid-ct-seg")
    assert mask_values(plan, run) == mask_values(plan, run, "covid-ct-seg") == {"infection": 1}


def test_a_stand_in_takes_the_place_of_the_data_set() -> None:
    plan = load(stand_ins={"covid-ct-seg": "zenodo20-slices"})
    assert plan.targets.masks() == ["one/a", "one/a@zenodo20-slices"]


@pytest.mark.parametrize(
    ("masks", "config", "message"),
    [
        ("{run: aa, dataset: covid-ct-seg}", {}, "masks: unknown name 'aa'"),
        ("{run: a, dataset: covid-ct-sag}", {}, "masks.dataset: unknown data set 'covid-ct-sag'; did you mean"),
        (
            "{run: a, dataset: covid-semiseg}",
            {},
            "a is trained on scans of covid-semiseg, which covid-semiseg contains",
        ),
        ("{run: c, dataset: covid-ct-seg}", {}, "c is trained on scans of covid-ct-seg, which covid-ct-seg contains"),
        (
            "{run: b, dataset: covid-ct-seg}",
            {"lungs": {"covid-ct-seg": "none", "covid-semiseg": "threshold"}},
            "b takes lung masks as input, and covid-ct-seg has none; set lungs: {covid-ct-seg: threshold}",
        ),
    ],
)
def test_masks_that_cannot_be_made_are_refused(paper: Path, masks: str, config: dict, message: str) -> None:
    paper.write_text(PAPER.replace("{run: a, dataset: covid-ct-seg}", masks))
    with pytest.raises(UserError) as e:
        load(**config)
    assert str(e.value).startswith("workflow/papers/one.yaml: masks")
    assert message in str(e.value)


def test_a_run_writes_masks_of_scans_that_it_never_saw() -> None:
    plan = load(lungs={"covid-ct-seg": "none"})
    run, scans = plan.run("one/a"), plan.paths.canonical("covid-ct-seg")
    label = np.zeros((1, 40, 40), np.uint8)
    label[0, 10:20, 10:20] = plan.dataset("covid-ct-seg").classes["infection"]
    cases = [canonical.Case(name, name, "labelled", 99 * np.ones_like(label), label) for name in ("x", "y")]
    canonical.write(cases, plan.dataset("covid-ct-seg"), scans)
    write_masks(scans, scans / "lungs.h5", "none", None)
    trained(plan, run)
    steps.masks(plan, "one/a@covid-ct-seg")
    out = plan.paths.masks("one/a@covid-ct-seg")
    rows = list(csv.DictReader((out / "volumes.csv").open()))
    assert [(row["case"], row["models"]) for row in rows] == [("x", "1"), ("y", "1")]
    assert sorted(path.name for path in out.iterdir()) == [
        "masks.json",
        "volumes.csv",
        "written.jsonl",
        "x.png",
        "y.png",
    ]
    assert masks_problem(plan, "one/a@covid-ct-seg") is None
    with pytest.raises(UserError, match=r"masks\.json: missing; run covidseg repair"):
        masks_problem(plan, "one/a")
    known = (scans / "import.json").read_text()
    write_record(scans / "import.json", {"other": "scans"})
    assert masks_problem(plan, "one/a@covid-ct-seg") == "made from other models or data"
    (scans / "import.json").write_text(known)
    (out / "x.png").unlink()
    with pytest.raises(UserError, match=r"x\.png: missing; run covidseg repair"):
        masks_problem(plan, "one/a@covid-ct-seg")


def trained(plan: Plan, run: Run) -> None:
    """Write what a finished training of each fold leaves, without training."""
    tensors = plan.paths.tensors(run.spec.dataset, run.spec.input.size) / "tensors.json"
    write_record(tensors, {})
    for fold, seed in run.jobs:
        folder = plan.paths.job(run.id, fold, seed)
        save_model(nets.build(run.spec.net, 1, 1), run.spec, folder / "model.safetensors")
        made_from = {"tensors": sha256(tensors), "split": sha256(plan.catalogue.split_path(run.spec.split))}
        outputs = {"model.safetensors": sha256(folder / "model.safetensors")}
        write_record(folder / "run.json", {"spec_hash": run.hash, "inputs": made_from, "sha256": outputs})
