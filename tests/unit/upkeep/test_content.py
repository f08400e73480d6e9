"""What a training depends on of its data."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from covidseg.base.errors import UserError
from covidseg.base.files import sha256, write_json, write_text
from covidseg.data.importers.folder import labelled_files
from covidseg.plan import Plan
from covidseg.upkeep.content import data_inputs, labelled, note, settled
from tests.records import write_record
from tests.workflow.test_new_scans import PAPER
from tests.workflow.test_own_data import write_scans


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    asked = {"mode": "paper", "data": str(tmp_path / "data"), "stand_ins": {"covid-ct-seg": "covid-semiseg"}}
    return Plan.load({**asked, "papers": ["ssanet"]})


def test_cases_of_other_splits_and_folds_do_not_count(plan: Plan) -> None:
    run = plan.run("ssanet/m4-dataset2")
    split = plan.catalogue.split(run.spec.split)
    cases = {name: f"hash of {name}" for name in split.names}
    record = plan.paths.tensors(*run.tensors[0]) / "tensors.json"
    with pytest.raises(UserError, match=r"tensors\.json: missing; run covidseg tensors covid-semiseg 512"):
        data_inputs(plan, run, 0)
    write_record(record, {"cases": cases})
    before = data_inputs(plan, run, 0)
    write_record(record, {"cases": {**cases, "a new scan": "hash"}, "other": "facts"})
    assert data_inputs(plan, run, 0) == before
    for role in ("train", "test"):
        changed = {**cases, split.cases(0, role)[0]: "another hash"}
        write_record(record, {"cases": changed})
        assert data_inputs(plan, run, 0) != before
    write_record(record, {"cases": {name: cases[name] for name in split.names[1:]}})
    with pytest.raises(
        UserError, match=rf"tensors\.json: no case '{split.names[0]}'; name cases of the data set in the split"
    ):
        data_inputs(plan, run, 0)
    write_record(record, {"size": 512})  # a record that lists no cases counts as a whole
    assert data_inputs(plan, run, 0) == {"tensors": sha256(record)}


def test_of_a_pool_all_cases_count_but_those_left_out(plan: Plan) -> None:
    run = plan.run("ssanet/s1")
    assert run.spec.pool is not None
    pool = run.spec.pool.model_copy(update={"without": ["left out"]})
    run = run.__class__(**{**vars(run), "spec": run.spec.model_copy(
        update={"train": run.spec.train.model_copy(update={"pool": pool})})})  # fmt: skip
    split = plan.catalogue.split(run.spec.split)
    cases = dict.fromkeys([*split.names, "pooled", "left out"], "hash")
    for pair in run.tensors:
        write_record(plan.paths.tensors(*pair) / "tensors.json", {"cases": cases})
    before = data_inputs(plan, run, 0)
    assert before.keys() == {"tensors", "pool"}
    path = plan.paths.tensors(*run.tensors[-1]) / "tensors.json"
    write_record(path, {"cases": {**cases, "left out": "another"}})
    assert data_inputs(plan, run, 0) == before
    write_record(path, {"cases": {**cases, "pooled": "another"}})
    assert data_inputs(plan, run, 0)["pool"] != before["pool"]


def test_files_of_scans_without_labels_are_told_by_their_names(tmp_path: Path) -> None:
    names = ["dataset.json", "imagesTr/a_0000.nii.gz", "labelsTr/a.nii.gz", "imagesTs/b_0000.nii.gz"]
    names += ["imagesTs/c_0000.nii.gz", "imagesUn/d.nii.gz"]

    def found() -> list[str]:
        return [str(path.relative_to(tmp_path)) for path in labelled_files(tmp_path)]

    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert found() == names[:3]
    (tmp_path / "labelsTs").mkdir()
    assert found() == names[:3]
    (tmp_path / "labelsTs/b.nii.gz").touch()
    assert found() == ["dataset.json", "imagesTr/a_0000.nii.gz", "imagesTs/b_0000.nii.gz", *names[2:3],
                       "labelsTs/b.nii.gz"]  # fmt: skip


def test_a_finished_training_is_settled_until_its_own_scans_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scans = tmp_path / "scans"
    write_scans(scans)
    shutil.copytree("workflow", tmp_path / "workflow")
    (tmp_path / "workflow/papers/mine.yaml").write_text(PAPER % scans)
    monkeypatch.chdir(tmp_path)
    plan = Plan.load({"mode": "paper", "preset": "cpu", "papers": ["mine"]})
    run, names = plan.run("mine/ours"), ["scan01", "scan02", "scan03"]
    split = plan.catalogue.split_path(run.spec.split)
    write_text(split, "fold,case,role\n0,scan01,train\n0,scan02,val\n0,scan03,test\n")
    write_record(plan.paths.tensors(*run.tensors[0]) / "tensors.json", {"cases": dict.fromkeys(names, "hash")})
    record = plan.paths.job(run.id, 0, 0) / "run.json"
    inputs = data_inputs(plan, run, 0) | {"split": sha256(split)}
    assert not settled(plan, run, 0, 0)  # nothing is finished
    write_record(record, {"spec_hash": run.hash, "inputs": inputs})
    assert not settled(plan, run, 0, 0)  # what was imported is not known
    note(plan, "mine")
    assert settled(plan, run, 0, 0)
    assert not settled(plan, plan.run("mine/pooled"), 0, 0)
    shutil.copy(scans / "imagesTs/new_0000.nii.gz", scans / "imagesTs/newer_0000.nii.gz")
    assert settled(plan, run, 0, 0)
    write_record(record, {"spec_hash": "0", "inputs": inputs})
    assert not settled(plan, run, 0, 0)
    write_record(record, {"spec_hash": run.hash, "inputs": {**inputs, "split": "0"}})
    assert not settled(plan, run, 0, 0)
    write_record(record, {"spec_hash": run.hash, "inputs": inputs})
    os.utime(scans / "labelsTr/scan01.nii.gz", (0, 0))
    assert not settled(plan, run, 0, 0)


def test_only_a_users_folder_has_a_note(plan: Plan) -> None:
    write_json(plan.paths.canonical("covid-semiseg") / "labelled.json", {"labelled": "of another time"})
    note(plan, "covid-semiseg")
    assert labelled(plan, "covid-semiseg") is None
    assert not (plan.paths.canonical("covid-semiseg") / "labelled.json").exists()
