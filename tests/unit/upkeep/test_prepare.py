"""What a training needs before it starts: data, models and stages as their records name them; records by hand."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from covidseg.base.errors import UserError
from covidseg.base.files import sha256, write_text
from covidseg.plan import Plan
from covidseg.upkeep import prepare
from tests.records import seal, write_record

PAPER = """\
paper: {title: t}
defaults:
  dataset: covid-semiseg
  split: one
  classes: [ggo, consolidation]
  input: {size: 64, mode: slice}
  net: {name: unet, width: 0.125}
  losses: {dice: {}}
runs:
  plain: {}
  rounds: {train: {method: self_training, rounds: 1, pool: {dataset: covid-ct-seg}}}
  theirs: {train: {method: released, maps: infnet-released-predictions, folders: {ggo: UNet, consolidation: UNet}}}
"""
SPLIT = "fold,case,role\n0,a,train\n0,b,train\n0,c,val\n0,d,test\n"
COLUMNS = ("slice", "case", "patient", "position", "role", "height", "width", "dz", "dy", "dx")


@pytest.fixture
def plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Plan:
    """Return the plan of a paper whose tensors are there, as far as a training looks at them before it starts."""
    shutil.copytree("workflow", tmp_path / "workflow")
    monkeypatch.chdir(tmp_path)
    Path("workflow/papers/mine.yaml").write_text(PAPER)
    Path("workflow/splits/one.csv").write_text(SPLIT)
    lungs = {"covid-semiseg": "none", "covid-ct-seg": "none"}
    plan = Plan.load({"papers": ["mine"], "mode": "paper", "lungs": lungs})
    for name, cases in (("covid-semiseg", "abcd"), ("covid-ct-seg", "xy")):
        folder = plan.paths.tensors(name, 64)
        write_text(folder / "image.npy", f"images of {name}")
        seal(folder, cases={case: f"hash of {case}" for case in cases})
    return plan


def job(plan: Plan, name: str, *before: str):
    return prepare.job_of(plan, plan.run(f"mine/{name}"), 0, 0, list(before), print)


def table(plan: Plan, **shown: tuple[int, int]) -> None:
    """Write the table of slices: case -> pixels of GGO and of consolidation in its one slice."""
    folder = plan.paths.canonical("covid-semiseg")
    header = ",".join(f'"{name}"' for name in (*COLUMNS, "px_ggo", "px_consolidation"))
    lines = [f'"{case}/000","{case}","{case}",0,"train",64,64,1,1,1,{a},{b}' for case, (a, b) in shown.items()]
    write_text(folder / "slices.csv", "\n".join([header, *lines]) + "\n")
    seal(folder, "import.json")


def test_a_training_is_given_its_own_tensors_and_those_of_its_pool(plan: Plan) -> None:
    made, inputs = job(plan, "plain")
    assert (made.tensors, made.pool) == (plan.paths.tensors("covid-semiseg", 64), None)
    assert set(inputs) == {"tensors", "split"}
    made, inputs = job(plan, "rounds")
    assert made.pool == plan.paths.tensors("covid-ct-seg", 64)
    assert made.pool_values == (1,)
    assert set(inputs) == {"tensors", "split", "pool"}
    assert inputs["split"] == sha256(Path("workflow/splits/one.csv"))


def test_maps_of_others_are_an_input(plan: Plan) -> None:
    record = plan.paths.canonical("infnet-released-predictions") / "import.json"
    with pytest.raises(UserError, match=r"import\.json: missing; run covidseg import infnet-released-predictions"):
        job(plan, "theirs")
    write_record(record, {"of": "maps"})
    made, inputs = job(plan, "theirs")
    assert (made.maps, inputs["maps"]) == (record.parent, sha256(record))


def test_damaged_tensors_and_unknown_folds_are_refused(plan: Plan) -> None:
    with pytest.raises(UserError, match=r"^mine/plain: split 'one' has no fold 3; legal: 0$"):
        prepare.job_of(plan, plan.run("mine/plain"), 3, 0, [], print)
    (plan.paths.tensors("covid-ct-seg", 64) / "image.npy").write_text("changed")
    job(plan, "plain")  # which does not read the pool
    with pytest.raises(UserError, match=r"covid-ct-seg.*image\.npy"):
        job(plan, "rounds")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({}, ""),
        ({"spec_hash": "other"}, r"stage\.json: made with other settings; run covidseg repair"),
        ({"inputs": {"split": "other"}}, r"stage\.json: made from other data or another model; run covidseg repair"),
    ],
)
def test_a_stage_before_is_of_the_same_settings_and_data(change: dict[str, object], said: str, plan: Plan) -> None:
    run = plan.run("mine/rounds")
    folder = plan.paths.stage(run.id, 0, 0, "round0")
    with pytest.raises(UserError, match=r"missing; run covidseg stage mine/rounds round0 --fold 0 --seed 0"):
        job(plan, "rounds", "round0")
    write_text(folder / "model.safetensors", "model")
    made = {"model.safetensors": sha256(folder / "model.safetensors")}
    facts = {"spec_hash": run.hash, "inputs": job(plan, "rounds")[1], "sha256": made}
    write_record(folder / "stage.json", facts | change)
    if said:
        with pytest.raises(UserError, match=said):
            job(plan, "rounds", "round0")
        return
    job(plan, "rounds", "round0")
    (folder / "model.safetensors").write_text("another")
    with pytest.raises(UserError, match=r"model\.safetensors"):
        job(plan, "rounds", "round0")


@pytest.mark.parametrize("changed", ["", "spec_hash", "inputs", "code", "sha256"])
def test_a_stage_is_done_with_todays_settings_data_code_and_files(changed: str, plan: Plan) -> None:
    run = plan.run("mine/rounds")
    assert not prepare.is_done(plan, run, 0, 0, "round0")
    made, inputs = job(plan, "rounds")
    facts = {"spec_hash": run.hash, "inputs": inputs, "code": made.code, "sha256": {}}
    other = {"spec_hash": "other", "inputs": {}, "code": "other", "sha256": {"model.safetensors": "of a lost file"}}
    if changed:
        facts[changed] = other[changed]
    write_record(plan.paths.stage(run.id, 0, 0, "round0") / "stage.json", facts)
    assert prepare.is_done(plan, run, 0, 0, "round0") == (changed == "")


def test_every_class_has_pixels_in_training_and_in_validation(plan: Plan) -> None:
    def check() -> None:
        prepare.check_foreground(plan, plan.run("mine/plain"), 0)

    table(plan, a=(5, 0), b=(0, 3), c=(1, 1), d=(0, 0))
    check()
    table(plan, a=(5, 0), b=(1, 0), c=(1, 1), d=(9, 9))
    with pytest.raises(
        UserError, match=r"^mine/plain fold 0: class 'consolidation' has no pixel in the training cases \(a, b\)"
    ):
        check()
    table(plan, a=(5, 0), b=(0, 3), c=(0, 1), d=(9, 9))
    with pytest.raises(UserError, match=r"^mine/plain fold 0: class 'ggo' has no pixel in the validation cases \(c\)"):
        check()


def test_a_fold_that_the_split_does_not_have_is_not_looked_through(plan: Plan) -> None:
    """There is no table of slices yet: what is wrong is the fold, which ``job_of`` says."""
    prepare.check_foreground(plan, plan.run("mine/plain"), 3)
    with pytest.raises(UserError, match=r"slices\.csv: missing; run covidseg import covid-semiseg"):
        prepare.check_foreground(plan, plan.run("mine/plain"), 0)
