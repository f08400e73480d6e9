"""Plans with a data set that joins others: what has to be made, what is said, what is refused."""

import json
import shutil
from pathlib import Path

import pytest

from covidseg import steps
from covidseg.base.errors import UserError
from covidseg.plan import Plan

PAPER = """\
paper: {title: t, authors: a, venue: v, doi: d}
defaults:
  dataset: dataset3
  split: dataset3-clean
  classes: [ggo, consolidation]
  net: {name: unet}
  losses: {cross_entropy: {}}
runs: {clean: {}, paper: {split: dataset3-paper}, other: {dataset: covid-semiseg, split: infnet-50-48}}
"""
ASKED = {"papers": ["three"], "only": ["three/clean", "three/paper"]}


@pytest.fixture(autouse=True)
def workflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a project whose one paper has runs on Dataset3; return its workflow folder."""
    shutil.copytree("workflow", tmp_path / "workflow")
    (tmp_path / "workflow" / "papers" / "three.yaml").write_text(PAPER)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "workflow"


def test_its_parts_are_made_first() -> None:
    plan = Plan.load({**ASKED, "mode": "paper"})
    assert plan.graph.all_datasets() == ["medseg-1", "medseg-2", "dataset3"]
    assert [str(path) for path in plan.graph.imported_from("dataset3")] == [
        "data/paper/canonical/medseg-1/import.json",
        "data/paper/canonical/medseg-1/lungs.json",
        "data/paper/canonical/medseg-2/import.json",
        "data/paper/canonical/medseg-2/lungs.json",
    ]
    assert [str(path) for path in plan.graph.imported_from("medseg-1")] == ["data/paper/raw/medseg-1/fetched.json"]
    spec = plan.run("three/clean").spec
    assert (spec.lungs, spec.values) == ("labels", {"ggo": (1,), "consolidation": (2,)})  # effusion: background
    assert plan.resolver.caveats(plan.run("three/clean")) == []
    assert plan.catalogue.lungs_in_words("dataset3") == "r231covidweb (medseg-1) and r231 (medseg-2)"


def test_its_twin_is_cropped_as_its_parts_are() -> None:
    plan = Plan.load(ASKED)
    crop = plan.dataset("dataset3").crop
    assert crop is not None
    assert crop.size == 128
    assert crop == plan.dataset("medseg-1").crop == plan.dataset("medseg-2").crop
    assert "lungmask/phantom" in plan.graph.all_runs()
    assert plan.catalogue.lungs_in_words("dataset3") == "phantom"
    assert plan.resolver.caveats(plan.run("three/clean"))[:3] == [
        "phantom CT, not patients",
        "lung masks of medseg-1: phantom instead of r231covidweb",
        "lung masks of medseg-2: phantom instead of r231",
    ]


def test_lung_masks_that_the_config_takes_away() -> None:
    plan = Plan.load({**ASKED, "mode": "paper", "lungs": {"medseg-1": "none", "medseg-2": "none"}})
    assert plan.catalogue.lungs("dataset3") == "none"
    assert plan.resolver.caveats(plan.run("three/clean")) == ["lung masks: none instead of labels"]
    with pytest.raises(UserError, match=r"dataset3 takes its lung masks from its parts, and medseg-2 has none; set"):
        Plan.load({**ASKED, "mode": "paper", "lungs": {"medseg-2": "none"}})


@pytest.mark.parametrize(("run", "split"), [("clean", "infnet-45-5-48"), ("paper", "infnet-50-48-val")])
def test_covid_semiseg_stands_in_for_it_with_its_own_splits(run: str, split: str) -> None:
    plan = Plan.load({**ASKED, "mode": "paper", "stand_ins": {"dataset3": "covid-semiseg"}})
    made = plan.run(f"three/{run}")
    assert (made.spec.dataset, made.spec.split) == ("covid-semiseg", split)
    assert plan.resolver.caveats(made) == ["covid-semiseg stands in for dataset3"]
    assert plan.graph.all_datasets() == ["covid-semiseg"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[medseg-1, medseg-2]", "[medseg-1, medseg2]", "joins: unknown name 'medseg2'; did you mean 'medseg-2'?"),
        ("[medseg-1, medseg-2]", "[medseg-1]", "joins: goes with importer: joined and needs two or more data sets"),
        ("joined\n", "folder\nfolder: x\n", "joins: goes with importer: joined and needs two or more data sets"),
        ("[medseg-1, medseg-2]", "[medseg-1, dataset3]", "joins: dataset3 is itself a joined data set; name its parts"),
        ("consolidation: 2, effusion: 3", "consolidation: 3, effusion: 2", "classes: differs from that of medseg-1"),
        ("keep: infection", "keep: infektion", "keep: unknown name 'infektion'; did you mean 'infection'?"),
    ],
)
def test_parts_that_do_not_fit_are_refused(workflow: Path, old: str, new: str, message: str) -> None:
    file = workflow / "datasets" / "dataset3.yaml"
    assert file.read_text().count(old) == 1
    file.write_text(file.read_text().replace(old, new))
    with pytest.raises(UserError) as e:
        Plan.load(ASKED)
    assert str(e.value).startswith(f"workflow/datasets/dataset3.yaml: {message}")
    assert "\n" not in str(e.value)


def test_verbs_say_what_goes_before() -> None:
    plan = Plan.load(ASKED)
    with pytest.raises(UserError, match=r"^dataset3: has no files of its own; fetch medseg-1 and medseg-2, which it"):
        steps.fetch(plan, "dataset3")
    with pytest.raises(UserError, match=r"medseg-1/import.json: missing; run covidseg import medseg-1 first"):
        steps.import_(plan, "dataset3")
    for name in ("import", "lungs"):
        (plan.paths.canonical("medseg-1") / f"{name}.json").parent.mkdir(parents=True, exist_ok=True)
        (plan.paths.canonical("medseg-1") / f"{name}.json").write_text("{}")
    (plan.paths.canonical("medseg-2")).mkdir(parents=True)
    (plan.paths.canonical("medseg-2") / "import.json").write_text("{}")
    with pytest.raises(UserError, match=r"medseg-2/lungs.json: missing; run covidseg lungs medseg-2 first"):
        steps.import_(plan, "dataset3")


def test_pools_are_compared_with_test_sets(workflow: Path) -> None:
    def pooled(dataset: str, *without: str) -> dict:
        return {"train": {"method": "self_training", "pool": {"dataset": dataset, "without": list(without)}}}

    runs = {
        "clean": pooled("covid-ct-seg", "coronacases_001", "coronacases_002"),
        "paper": {"split": "dataset3-paper"} | pooled("covid-ct-seg", "coronacases_002", "coronacases_003"),
        "other": {"dataset": "covid-semiseg", "split": "infnet-50-48"},
    }
    paper = PAPER.split("runs:")[0]
    (workflow / "papers" / "three.yaml").write_text(f"{paper}runs: {json.dumps(runs)}\n")
    asked = {"papers": ["three"], "mode": "paper"}
    plan = Plan.load({**asked, "only": [f"three/{run}" for run in runs]})
    assert plan.graph.pools("dataset3", "dataset3-clean") == {"covid-ct-seg": {"coronacases_001", "coronacases_002"}}
    assert plan.graph.pools("covid-semiseg", "infnet-50-48") == {}
    assert plan.graph.other_training_sets("covid-semiseg") == ["dataset3", "covid-ct-seg"]
    assert plan.graph.other_training_sets("dataset3") == ["covid-semiseg", "covid-ct-seg"]
    assert plan.graph.unseen("covid-ct-seg") == {"coronacases_002"}  # both leave it out
    assert plan.graph.unseen("covid-semiseg") == set()  # labelled
    assert plan.graph.all_datasets() == ["medseg-1", "medseg-2", "dataset3", "covid-ct-seg", "covid-semiseg"]
    (workflow / "papers" / "three.yaml").write_text(
        f"{paper}runs: {json.dumps(runs | {'clean': pooled('dataset3')})}\n"
    )
    plan = Plan.load({**asked, "only": ["three/clean"]})
    assert plan.graph.pools("dataset3", "dataset3-clean") == {"dataset3": set()}  # its own unlabelled slices
    assert plan.graph.other_training_sets("dataset3") == []
