"""The attention fusion paper's file: every network is a run, and what may be wrong with labels and saliency."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from covidseg import nets
from covidseg.base.errors import UserError
from covidseg.plan import Plan
from covidseg.train import image_labels

REAL = {"mode": "paper", "papers": ["attnfusion"]}
CYCLE = """\
paper: {title: t}
defaults:
  dataset: medseg-all
  split: attnfusion
  classes: [infection]
  input: {mode: slice}
  net: {name: unet}
  losses: {dice: {}}
runs:
  a: {train: {labels: {run: b}}}
  b: {train: {method: walk, maps_of: c}, net: {name: irn}, losses: {dice: false, pixel_pairs: {}}}
  c: {net: {name: classifier}, losses: {dice: false, cross_entropy: {}}, train: {method: cam}}
"""


def load(**config: Any) -> Plan:
    return Plan.load({**REAL, **config})


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a copy of workflow/ to write paper files into, in the working folder."""
    shutil.copytree("workflow", tmp_path / "workflow")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "workflow" / "papers"


def test_every_row_has_its_chain() -> None:
    plan = load()

    def behind(name: str) -> list[str]:
        return [reference.run.partition("/")[2] for reference in plan.run(f"attnfusion/{name}").references.values()]

    assert behind("ours") == ["cls"]
    assert behind("ours-max") == ["cls-max"]
    assert behind("cls-max") == ["cls"]
    assert (behind("seam"), behind("seam-walk"), behind("seam-cls")) == (["seam-walk"], ["seam-cls"], [])
    assert (behind("full"), behind("cls")) == ([], [])


def test_a_preset_moves_the_first_epoch_whose_maps_count_with_the_epochs() -> None:
    """60 epochs with maps from the 10th on are 12 from the 2nd on, at a fifth."""
    train: Any = load(preset="cpu").run("attnfusion/cls-resnet50").spec.train
    assert (train.epochs, train.from_epoch) == (12, 2)


def test_parameters_of_the_ablation() -> None:
    plan = load()
    runs = {name: plan.run(f"attnfusion/{name}").spec.net for name in ("baseline", "fe", "fe-rc", "aspp", "full")}
    assert {name: nets.count(net, 1, 1) for name, net in runs.items()} == {
        "baseline": 1_008_810, "fe": 1_315_912, "fe-rc": 2_758_728, "aspp": 5_403_208, "full": 3_821_128,
    }  # fmt: skip


def test_what_survives_of_the_tables_is_there() -> None:
    paper = load().papers["attnfusion"]
    printed = [
        (name, label, columns) for name, table in paper.tables.items() for label, columns in table.printed if columns
    ]
    assert ("5", "Baseline + FE + RC", ["DSC"]) in printed
    assert {name for name, *_ in printed} == {"1", "5"}
    claims = paper.tested
    assert len(claims) >= 16
    assert sorted(claim.by for claim in claims if claim.by) == [0.0108, 0.0176, 0.0312]


def test_saliency_is_said_where_it_is_not_the_paper_s() -> None:
    assert load().run("attnfusion/cls").spec.train.model_dump()["saliency"] == "poolnet"
    for plan, used in ((load(saliency="contrast"), "contrast"), (Plan.load({"papers": ["attnfusion"]}), "lungs")):
        run = plan.run("attnfusion/cls")
        assert run.spec.train.model_dump()["saliency"] == used
        assert f"saliency: {used} instead of poolnet" in plan.resolver.caveats(run)


def test_the_stand_in_has_its_own_split() -> None:
    plan = load(stand_ins={"medseg-all": "zenodo20-halves"})
    spec = plan.run("attnfusion/ours").spec
    assert (spec.dataset, spec.split, spec.values) == ("zenodo20-halves", "attnfusion-zenodo20", {"infection": (1,)})


def test_only_known_weights_can_be_named() -> None:
    with pytest.raises(UserError, match=r"weights: unknown name 'poolnett'; did you mean 'poolnet'\?"):
        load(weights={"poolnett": "0" * 64})
    with pytest.raises(UserError, match=r"weights\.poolnet: "):
        load(weights={"poolnet": "123"})


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("maps_of: c}", "maps_of: a}", r"runs\.a\.train\.labels\.run: runs refer to one another in a circle"),
        ("labels: {run: b}", "labels: {run: d}", r"runs\.a\.train\.labels\.run: .*unknown run 'mine/d'"),
        ("runs:\n", "masks: [c]\nruns:\n", r"masks: c only makes labels \(method cam\); name a run"),
        ("maps_of: c}", "maps_of: c, steps: 0}", r"runs\.b: train\.steps: input should be"),
        ("{dice: {}}", "{edge: {}}", r"losses\.edge: cannot ignore the pixels to which train\.method gives no label"),
        ("[infection]", "[ggo, consolidation]", r"train\.method: walk works on one class \(found 2\); join them"),
    ],
)
def test_labels_that_cannot_be_made_are_refused(project: Path, old: str, new: str, message: str) -> None:
    assert CYCLE.count(old) == 1
    (project / "mine.yaml").write_text(CYCLE.replace(old, new))
    with pytest.raises(UserError, match=message):
        Plan.load({"mode": "paper", "papers": ["mine"]}).checks.all()


def test_how_well_the_data_set_alone_tells_the_label_of_an_image() -> None:
    """The note under table 1: 98 of 100 images of A are positive, and of B 373 of 829, or 63 of 144 phantoms."""
    (note,) = (note for note in load().papers["attnfusion"].tables["1"].notes if "AUC" in note)
    for said, positive, slices in (("of 0.60 by these counts", 373, 829), ("of 0.79 on the phantoms", 63, 144)):
        of_a = np.repeat([1.0, 0.0], [100, slices])
        sick = np.concatenate([np.arange(100) < 98, np.arange(slices) < positive])
        assert said in note
        assert said.split()[1] == f"{image_labels.auc(of_a, sick):.2f}"
