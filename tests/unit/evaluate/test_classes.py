"""A run of two classes, from a phantom's files to masks, scores, table, claim and trace. Effusion is no class of it."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from covidseg import report, steps
from covidseg.base.errors import UserError
from covidseg.data import tensors
from covidseg.data.canonical import Store
from covidseg.data.tensors import Window
from covidseg.evaluate import predictions
from covidseg.plan import Plan
from covidseg.tables.trace import trace

ROOT = Path(__file__).parents[3]
PAPER = """\
paper: {title: t, authors: a, venue: v, doi: d}
defaults:
  dataset: medseg-1
  split: infnet-50-48
  classes: [ggo, consolidation]
  input: {size: 32, mode: slice}
  net: {name: unet, width: 0.125}
  losses: {cross_entropy: {reweight: true}}
  train: {epochs: 25, batch: 8, optimizer: {lr: 3.0e-3}}
runs:
  two: {}
  plain: {losses: {cross_entropy: {reweight: false}}}
tables:
  "4":
    caption: Two classes
    protocol: ssanet
    metrics: {DSC: dsc, MAE: mae}
    rows:
      - {label: (S1) two, run: two, class: ggo, printed: {DSC: 0.4}}
      - {label: (S1) two, run: two, class: consolidation, printed: {DSC: 0.6}}
      - {label: (S1) two, run: two, printed: {DSC: 0.5}}
claims:
  - {id: a, says: s, where: w, better: two, than: two, class: consolidation, protocol: ssanet, metric: dsc}
"""
CONFIG = {"papers": ["two"], "only": ["two/two"], "preset": "plain", "lungs": {"medseg-1": "none"}}


def project(folder: Path, paper: str = PAPER) -> None:
    """Write a workflow with one small paper."""
    shutil.copytree(ROOT / "workflow", folder / "workflow")
    (folder / "workflow/papers/two.yaml").write_text(paper)
    (folder / "workflow/presets/plain.yaml").write_text("about: the runs as they stand\nthreads: 1\n")
    dataset = folder / "workflow/datasets/medseg-1.yaml"
    text = dataset.read_text()
    assert "size: 128" in text
    dataset.write_text(text.replace("size: 128", "size: 64"))


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    """Train and score the run; return its plan. Paths in it are whole, so that tests may stay where they are."""
    folder = tmp_path_factory.mktemp("two")
    project(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        plan = Plan.load(CONFIG | {"data": str(folder / "data"), "results": str(folder / "results")})
        steps.fetch(plan, "medseg-1")
        steps.import_(plan, "medseg-1")
        steps.lungs(plan, "medseg-1")
        steps.tensors(plan, "medseg-1", 32)
        steps.leaks(plan, "medseg-1", "infnet-50-48")
        steps.train(plan, "two/two", 0, 0)
        steps.score(plan, "two/two")
        steps.table(plan, "two", "4")
        steps.claims(plan, "two")
    return plan


def lines(path: Path) -> list[dict[str, str]]:
    with open(path, newline="") as f:
        return list(csv.DictReader(f))


def test_every_class_has_its_own_truth_and_effusion_is_background(plan: Plan) -> None:
    found: dict[str, dict[str, predictions.Slice]] = {}
    for s in predictions.test_slices(plan, plan.run("two/two"), 0, 0):
        found.setdefault(s.slice, {})[s.cls] = s
    assert len(found) == 48
    table = {row["slice"]: row for row in tensors.read_rows(plan.paths.tensors("medseg-1", 32))}
    fluid = both = 0
    with Store(plan.paths.canonical("medseg-1")) as store:
        for name, parts in found.items():
            row = table[name]
            window = Window(row["top"], row["left"], row["height"], row["width"])
            label = window.cut(store.label(row["case"])[row["position"]])
            np.testing.assert_array_equal(parts["ggo"].truth, label == 1)
            np.testing.assert_array_equal(parts["consolidation"].truth, label == 2)
            masks = [parts[cls].predicted() for cls in ("ggo", "consolidation")]
            assert masks[0].shape == label.shape == (64, 64)
            assert not (masks[0] & masks[1]).any()
            fluid += int((label == 3).sum())
            both += all(mask.any() for mask in masks)
    assert fluid > 0
    assert both > 0  # slices on which both classes are found


def test_weights_are_those_of_the_training_slices(plan: Plan) -> None:
    made = json.loads((plan.paths.job("two/two", 0, 0) / "run.json").read_text())
    loaded = tensors.load(plan.paths.tensors("medseg-1", 32))
    train = set(plan.catalogue.split("infnet-50-48").cases(0, "train"))
    label = loaded.label[[case in train for case in loaded.columns["case"]]]
    ggo, con = int((label == 1).sum()), int((label == 2).sum())
    assert made["slices"]["train"] == len(label) == 50
    assert made["class_pixels"] == {"ggo": ggo, "consolidation": con}
    assert made["class_weights"] == {
        "ggo": pytest.approx((ggo + con) / (2 * ggo)),
        "consolidation": pytest.approx((ggo + con) / (2 * con)),
    }
    assert made["spec"]["losses"] == {"cross_entropy": {"reweight": True}}


def test_a_table_has_a_row_per_class_and_their_average(plan: Plan) -> None:
    rows = [r for r in lines(plan.paths.table("two", "4", "csv")) if (r["protocol"], r["column"]) == ("ssanet", "DSC")]
    assert [(r["row"], r["class"], r["slices"]) for r in rows] == [
        ("(S1) two", "ggo", "48"),
        ("(S1) two", "consolidation", "48"),
        ("(S1) two", "average", "48"),
    ]
    ggo, con, average = (float(r["ours"]) for r in rows)
    assert ggo != con
    assert average == pytest.approx((ggo + con) / 2, abs=1e-6)
    scores = [
        r for r in lines(plan.paths.run("two/two") / "cases.csv") if (r["protocol"], r["unit"]) == ("ssanet", "slice")
    ]
    assert ggo == pytest.approx(np.mean([float(r["dsc"]) for r in scores if r["class"] == "ggo"]), abs=1e-6)
    text = plan.paths.table("two", "4", "md").read_text()
    assert "| (S1) two | ggo | 0.4000 |" in text
    assert "|  | average | 0.5000 |" in text
    assert "Each pixel belongs to the most probable of background and classes" in text


def test_numbers_are_kept_and_found_by_run_and_class(plan: Plan) -> None:
    assert list(report.metrics(plan)["two"]["table 4"]) == ["two/two:ggo", "two/two:consolidation", "two/two:average"]
    assert report.plots(plan).row.tolist() == [f"two 4: (S1) two, {c}" for c in ("ggo", "consolidation", "average")]
    rows = {
        r["class"]: r
        for r in lines(plan.paths.table("two", "4", "csv"))
        if (r["protocol"], r["column"]) == ("ssanet", "MAE")
    }
    for cls, counted in (("ggo", "ggo"), ("average", "ggo, consolidation")):
        told = trace(plan, "two", "4", f"two:{cls}", "MAE").splitlines()
        assert told[0].startswith(f"Table 4 of two, (S1) two, {cls}, MAE: ours 0.")  # nothing is printed there
        assert told[1] == f"mean of mae over 48 slices x 1 seed x {counted}, protocol ssanet, in"
        assert f"fold 0 seed 0: {float(rows[cls]['ours']):.4f}" in told[4]
    with pytest.raises(UserError, match=r"3 rows are 'two'; name one: two:ggo, two:consolidation, two:average"):
        trace(plan, "two", "4", "two", "DSC")


def test_a_claim_names_its_class(plan: Plan) -> None:
    found = lines(plan.paths.claims("two", "csv"))[0]
    assert (found["class"], found["column"], found["slices"]) == ("consolidation", "DSC, consolidation", "48")
    assert float(found["gain"]) == 0  # a run over itself


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "run: two, class: ggo,",
            "run: two, class: goo,",
            "tables.4.rows.0.class: unknown name 'goo'; did you mean 'ggo'?",
        ),
        ("run: two, class: ggo,", "class: goo,", "tables.4.rows.0.class: unknown name 'goo'; did you mean 'ggo'?"),
        ("run: two, class: ggo,", "run: two, clas: ggo,", "tables.4.rows.0.clas: unknown key; did you mean 'class'?"),
        (
            "run: two, class: ggo,",
            "run: two,",
            "tables.4.rows.2.label: two rows are '(S1) two'; rename one, or give it",
        ),
        ("class: consolidation, protocol", "class: con, protocol", "claims.a.class: unknown name 'con'; legal: "),
        ("classes: [ggo, consolidation]", "classes: [ggo]", "losses.cross_entropy.reweight: a run of one class has"),
    ],
)
def test_unknown_classes_stop_in_planning(
    old: str, new: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert PAPER.count(old) == 1
    project(tmp_path, PAPER.replace(old, new))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError) as e:
        Plan.load(CONFIG)
    assert str(e.value).startswith("workflow/papers/two.yaml: ")
    assert message in str(e.value)
    assert "\n" not in str(e.value)
