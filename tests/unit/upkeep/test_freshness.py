"""A result is fresh exactly if what it was made from is what its record names; records by hand, no training."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from covidseg.base.errors import UserError
from covidseg.base.files import sha256, write_text
from covidseg.plan import Plan, Run
from covidseg.upkeep.content import data_inputs
from covidseg.upkeep.freshness import (
    masks_made_from,
    masks_problem,
    scores_made_from,
    scores_problem,
    training_problem,
    usable,
    usable_model,
)
from tests.records import write_record

PAPER = """\
paper: {title: t}
defaults:
  dataset: covid-semiseg
  split: two
  classes: [infection]
  input: {size: 64, mode: slice}
  net: {name: unet, width: 0.125}
  losses: {dice: {}}
runs:
  plain: {}
  rounds:
    train: {method: self_training, rounds: 1, start: plain, pool: {dataset: covid-ct-seg, without: [left]}}
masks: [plain]
"""
SPLIT = "fold,case,role\n0,a,train\n0,b,val\n0,c,test\n1,a,train\n1,d,test\n"
CASES = {case: f"hash of {case}" for case in "abcde"}
POOL = {case: f"hash of {case}" for case in ("pooled", "left")}
MAPS = "infnet-released-predictions"
ASKED = {"papers": ["two"], "mode": "paper", "lungs": {"covid-semiseg": "none", "covid-ct-seg": "none"}}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("project")
    shutil.copytree("workflow", folder / "workflow")
    return folder


@pytest.fixture(autouse=True)
def here(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)


def train(plan: Plan, run: Run, fold: int, text: str, **inputs: str) -> None:
    """Leave what a training leaves, with texts in place of its files."""
    folder = plan.paths.job(run.id, fold, 0)
    for name in ("model.safetensors", "predictions.h5"):
        write_text(folder / name, f"{name} {text}")
    made = {name: sha256(folder / name) for name in ("model.safetensors", "predictions.h5")}
    given = data_inputs(plan, run, fold) | {"split": sha256(plan.catalogue.split_path(run.spec.split)), **inputs}
    spec = run.spec.model_dump(mode="json")
    write_record(folder / "run.json", {"spec": spec, "spec_hash": run.hash, "inputs": given, "sha256": made})


def whole() -> Plan:
    """Leave a project in which two runs, scores and masks are finished; return its plan."""
    shutil.rmtree("data", ignore_errors=True)
    shutil.rmtree("results", ignore_errors=True)
    Path("workflow/papers/two.yaml").write_text(PAPER)
    Path("workflow/splits/two.csv").write_text(SPLIT)
    plan = Plan.load(ASKED)
    tensors(plan, CASES)
    tensors(plan, POOL, "covid-ct-seg")
    for name in ("import.json", "lungs.json"):
        write_record(plan.paths.canonical("covid-semiseg") / name, {"of": name})
    plain, rounds = plan.run("two/plain"), plan.run("two/rounds")
    for fold in (0, 1):
        train(plan, plain, fold, f"plain {fold}")
        start = sha256(plan.paths.job(plain.id, fold, 0) / "model.safetensors")
        train(plan, rounds, fold, f"rounds {fold}", start=start)
    for run in (plain, rounds):
        write_text(plan.paths.run(run.id) / "cases.csv", "scores\n")
        made = {"cases.csv": sha256(plan.paths.run(run.id) / "cases.csv")}
        write_record(
            plan.paths.run(run.id) / "summary.json", {"made_from": scores_made_from(plan, run), "sha256": made}
        )
    masks = plan.paths.masks(plain.id)
    for name in ("volumes.csv", "a.png", "b.png"):
        write_text(masks / name, name)
    made = {name: sha256(masks / name) for name in ("volumes.csv", "a.png", "b.png")}
    write_record(masks / "masks.json", {"made_from": masks_made_from(plan, plain.id), "sha256": made})
    return plan


def tensors(plan: Plan, cases: dict[str, str], dataset: str = "covid-semiseg", **facts: str) -> None:
    write_record(plan.paths.tensors(dataset, 64) / "tensors.json", {"cases": cases, **facts})


def rewrite(path: Path, **facts: object) -> None:
    write_record(path, {**json.loads(path.read_text()), **facts})


def other_text(path: str, old: str, new: str) -> None:
    text = Path(path).read_text()
    assert old in text
    Path(path).write_text(text.replace(old, new))


def of_the_first_model(plan: Plan, **facts: object) -> None:
    rewrite(plan.paths.job("two/plain", 0, 0) / "run.json", **facts)


def other_rate(plan: Plan) -> None:
    other_text("workflow/papers/two.yaml", "losses:", "train: {optimizer: {lr: 0.5}}\n  losses:")


# what happens to something -> of which fold-0 trainings the record then names something else
BOTH = {"plain", "rounds"}
EVENTS: dict[str, dict[str, tuple[Callable[[Plan], None], set[str]]]] = {
    "scans": {
        "a training scan changed": (lambda plan: tensors(plan, CASES | {"a": "other"}), BOTH),
        "a validation scan changed": (lambda plan: tensors(plan, CASES | {"b": "other"}), BOTH),
        "a test scan changed": (lambda plan: tensors(plan, CASES | {"c": "other"}), BOTH),
        "a scan of another fold changed": (lambda plan: tensors(plan, CASES | {"d": "other"}), set()),
        "a scan of no fold changed": (lambda plan: tensors(plan, CASES | {"e": "other"}), set()),
        "a new scan": (lambda plan: tensors(plan, CASES | {"f": "new"}), set()),
        "their record says more": (lambda plan: tensors(plan, CASES, seconds="9"), set()),
    },
    "pool": {
        "a scan of the pool changed": (lambda plan: tensors(plan, POOL | {"pooled": "x"}, "covid-ct-seg"), {"rounds"}),
        "a new scan in the pool": (lambda plan: tensors(plan, POOL | {"more": "x"}, "covid-ct-seg"), {"rounds"}),
        "one that is left out changed": (lambda plan: tensors(plan, POOL | {"left": "x"}, "covid-ct-seg"), set()),
    },
    "split": {
        "the split changed": (lambda plan: other_text("workflow/splits/two.csv", "1,d,test", "1,e,test"), BOTH),
    },
    "first model": {
        "another first model": (
            lambda plan: of_the_first_model(plan, sha256={"model.safetensors": "0"}), {"rounds"}
        ),
        "a stale first model": (lambda plan: of_the_first_model(plan, spec_hash="0"), BOTH),
        "its record says more": (lambda plan: of_the_first_model(plan, wall_seconds=9, finished="now"), set()),
        "its predictions changed": (
            lambda plan: write_text(plan.paths.job("two/plain", 0, 0) / "predictions.h5", "others"), set()
        ),
    },
    "settings": {
        "another rate": (other_rate, BOTH),
        "another number of rounds": (
            lambda plan: other_text("workflow/papers/two.yaml", "rounds: 1", "rounds: 2"), {"rounds"}
        ),
        "another title": (lambda plan: other_text("workflow/papers/two.yaml", "title: t", "title: u"), set()),
        "no masks": (lambda plan: other_text("workflow/papers/two.yaml", "masks: [plain]", ""), set()),
    },
}  # fmt: skip
EVENT = {name: event for events in EVENTS.values() for name, event in events.items()}


def fresh(plan: Plan) -> set[str]:
    return {name for name in ("plain", "rounds") if training_problem(plan, plan.run(f"two/{name}"), 0, 0) is None}


@pytest.mark.parametrize("event", EVENT)
def test_each_event_makes_stale_what_depends_on_it(event: str) -> None:
    happens, without = EVENT[event]
    happens(whole())
    assert fresh(Plan.load(ASKED)) == BOTH - without


@settings(max_examples=12, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.fixed_dictionaries({}, optional={name: st.sampled_from(sorted(events)) for name, events in EVENTS.items()}))
def test_a_training_is_fresh_exactly_if_its_inputs_are_those_of_its_record(happened: dict[str, str]) -> None:
    plan = whole()
    for event in happened.values():
        EVENT[event][0](plan)
    assert fresh(Plan.load(ASKED)) == BOTH - set().union(*(EVENT[event][1] for event in happened.values()))


# ---- what is said of it


@pytest.mark.parametrize(
    ("event", "said"),
    [
        ("a training scan changed", "made from other data"),
        ("a scan of the pool changed", "made from other data"),
        ("the split changed", "made with another split two"),
        ("another first model", "made with another model.safetensors of two/plain"),
        (
            "a stale first model",
            "made with model.safetensors of two/plain, which was made with other settings ()",
        ),
        ("another rate", "made with other settings (train.optimizer.lr was 0.001, is 0.5)"),
        ("another number of rounds", "made with other settings (train.rounds was 1, is 2)"),
    ],
)
def test_why_a_training_is_not_todays(event: str, said: str) -> None:
    EVENT[event][0](whole())
    plan = Plan.load(ASKED)
    assert training_problem(plan, plan.run("two/rounds"), 0, 0) == said
    with pytest.raises(UserError) as e:
        usable_model(plan, plan.run("two/rounds"), 0, 0)
    assert str(e.value) == f"results/paper/runs/two/rounds/fold0-seed0/run.json: {said}; run covidseg repair"


def test_without_tensors_the_rest_decides() -> None:
    """Tensors may be deleted once all is trained: what is left of a record is compared all the same."""
    plan = whole()
    shutil.rmtree(plan.paths.tensors("covid-semiseg", 64))
    assert fresh(plan) == {"plain", "rounds"}
    Path("workflow/splits/two.csv").unlink()
    with pytest.raises(UserError, match="split"):
        training_problem(Plan.load(ASKED), plan.run("two/plain"), 0, 0)


def test_maps_that_others_released() -> None:
    plan = whole()
    text = yaml.safe_load(PAPER)
    text["runs"]["theirs"] = {"train": {"method": "released", "maps": MAPS, "folders": {"infection": "UNet"}}}
    Path("workflow/papers/two.yaml").write_text(yaml.safe_dump(text))
    plan = Plan.load(ASKED)
    run, maps = plan.run("two/theirs"), plan.paths.canonical(MAPS) / "import.json"
    write_record(maps, {"of": "maps"})
    train(plan, run, 0, "maps", maps=sha256(maps))
    assert training_problem(plan, run, 0, 0) is None
    write_record(maps, {"of": "other maps"})
    assert training_problem(plan, run, 0, 0) == "made from other maps"
    maps.unlink()  # may be deleted, as tensors may
    assert training_problem(plan, run, 0, 0) is None


def test_what_a_file_of_a_training_is_used_for() -> None:
    plan = whole()
    run, folder = plan.run("two/plain"), plan.paths.job("two/plain", 0, 0)
    assert usable(plan, run, 0, 0, "predictions.h5") == folder / "predictions.h5"
    with pytest.raises(UserError, match=r"labels\.h5: missing; run covidseg train two/plain --fold 0 --seed 0 first"):
        usable(plan, run, 0, 0, "labels.h5")
    write_text(folder / "model.safetensors", "planted")
    assert usable(plan, run, 0, 0, "predictions.h5").is_file()
    with pytest.raises(UserError, match=r"model\.safetensors: damaged \(not what was written\); run covidseg repair"):
        usable_model(plan, run, 0, 0)
    (folder / "run.json").unlink()
    with pytest.raises(UserError, match=r"run\.json: missing; run covidseg repair"):
        usable(plan, run, 0, 0, "predictions.h5")


# ---- scores and masks


def test_scores_are_those_of_todays_predictions_and_protocols() -> None:
    plan = whole()
    run = plan.run("two/plain")
    assert scores_problem(plan, run) is None
    said = "made from other predictions or protocols"
    folder = plan.paths.job(run.id, 1, 0)
    known = json.loads((folder / "run.json").read_text())
    rewrite(folder / "run.json", sha256={**known["sha256"], "model.safetensors": "other"})
    assert scores_problem(plan, run) is None  # predictions are what is scored
    rewrite(folder / "run.json", sha256={**known["sha256"], "predictions.h5": "other"})
    assert scores_problem(plan, run) == said
    rewrite(folder / "run.json", sha256=known["sha256"])
    assert scores_problem(plan, run) is None
    rewrite(plan.paths.run(run.id) / "summary.json", made_from={**scores_made_from(plan, run), "protocols": "other"})
    assert scores_problem(plan, run) == said
    rewrite(plan.paths.run(run.id) / "summary.json", made_from=scores_made_from(plan, run))
    (plan.paths.run(run.id) / "cases.csv").write_text("0.99\n")
    with pytest.raises(UserError, match=r"cases\.csv: damaged \(not what was written\); run covidseg repair"):
        scores_problem(plan, run)


@pytest.mark.parametrize(
    "changed", ["import.json", "lungs.json", "model.safetensors", "predictions.h5", "split", "nothing"]
)
def test_masks_are_those_of_todays_models_data_and_split(changed: str) -> None:
    plan = whole()
    assert masks_problem(plan, "two/plain") is None
    if changed.endswith("s.json") or changed == "import.json":
        write_record(plan.paths.canonical("covid-semiseg") / changed, {"of": "others"})
    elif changed == "split":
        other_text("workflow/splits/two.csv", "fold,case", "# a comment\nfold,case")
    elif changed != "nothing":
        path = plan.paths.job("two/plain", 1, 0) / "run.json"
        rewrite(path, sha256={**json.loads(path.read_text())["sha256"], changed: "other"})
    same = changed in ("nothing", "predictions.h5")  # masks are predicted anew, by the models
    assert masks_problem(plan, "two/plain") == (None if same else "made from other models or data")


def test_a_mask_may_be_corrected_but_none_may_be_missing() -> None:
    plan = whole()
    folder = plan.paths.masks("two/plain")
    write_text(folder / "b.png", "corrected by a radiologist")
    write_text(folder / "note.txt", "not ours")
    assert masks_problem(plan, "two/plain") is None
    (folder / "b.png").unlink()
    with pytest.raises(UserError, match=r"b\.png: missing; run covidseg repair"):
        masks_problem(plan, "two/plain")
    write_text(folder / "b.png", "b.png")
    write_text(folder / "volumes.csv", "other volumes")
    with pytest.raises(UserError, match=r"volumes\.csv: damaged \(not what was written\); run covidseg repair"):
        masks_problem(plan, "two/plain")
    for name in ("import.json", "lungs.json"):
        plan = whole()
        (plan.paths.canonical("covid-semiseg") / name).unlink()
        verb = name.removesuffix(".json")
        with pytest.raises(UserError, match=rf"{name}: missing; run covidseg {verb} covid-semiseg first"):
            masks_problem(plan, "two/plain")
