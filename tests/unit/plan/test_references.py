"""What a run takes from other runs: made first, hashed, checked when planned and before it is read."""

import json
import shutil
from pathlib import Path

import pytest

from covidseg import steps
from covidseg.base.errors import UserError
from covidseg.base.files import sha256, write_text
from covidseg.plan import Plan
from covidseg.plan.run import Run
from covidseg.upkeep import prepare
from covidseg.upkeep.freshness import training_problem
from tests.records import write_record

PAPER = """\
paper: {title: t}
defaults:
  dataset: covid-semiseg
  split: infnet-50-48
  classes: [infection]
  input: {size: 64, mode: slice}
  net: {name: unet, width: 0.125}
  losses: {cross_entropy: {}}
runs:
  plain: {}
  rounds: {train: {method: self_training, rounds: 1, pool: {dataset: covid-ct-seg}, start: plain}}
  seeing: {input: {prior: {run: plain}}}
  taught: {train: {labels: {run: maker}}}
  maker: {train: {method: maker}}
"""
ASKED = {"papers": ["two"], "mode": "paper"}


@pytest.fixture(autouse=True)
def paper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a project with one paper without labels from another run; return its file."""
    shutil.copytree("workflow", tmp_path / "workflow")
    file = tmp_path / "workflow" / "papers" / "two.yaml"
    file.write_text("".join(line for line in PAPER.splitlines(True) if "maker" not in line))
    monkeypatch.chdir(tmp_path)
    return file


def finished(plan: Plan, run: Run, model: str = "weights", **inputs: str) -> Path:
    """Write what a finished training of fold 0 leaves, with a text in place of a model; return its folder."""
    folder = plan.paths.job(run.id, 0, 0)
    for pair in run.tensors:
        write_record(plan.paths.tensors(*pair) / "tensors.json", {"of": pair})
    write_text(folder / "model.safetensors", model)
    write_text(folder / "history.csv", "epoch\n")
    made_from = {"tensors": sha256(plan.paths.tensors(*run.tensors[0]) / "tensors.json")}
    made_from |= {"split": sha256(plan.catalogue.split_path(run.spec.split)), **inputs}
    outputs = {name: sha256(folder / name) for name in ("model.safetensors", "history.csv")}
    write_record(folder / "run.json", {"spec_hash": run.hash, "inputs": made_from, "sha256": outputs, "run": run.id})
    return folder


def pool_ready(plan: Plan) -> None:
    write_record(plan.paths.tensors("covid-ct-seg", 64) / "tensors.json", {"of": "pool"})


def test_a_planted_first_model_is_not_taken_over() -> None:
    plan = Plan.load(ASKED)
    folder = finished(plan, plan.run("two/plain"))
    pool_ready(plan)
    (folder / "model.safetensors").write_text("NOT EVEN A MODEL")
    with pytest.raises(UserError, match=r"plain/fold0-seed0/model\.safetensors: damaged"):
        steps.stage(plan, "two/rounds", 0, 0, "round0")
    assert not plan.paths.stage("two/rounds", 0, 0, "round0").exists()


def test_a_first_model_of_another_row_is_not_taken_over() -> None:
    plan = Plan.load(ASKED)
    record = finished(plan, plan.run("two/plain")) / "run.json"
    pool_ready(plan)
    write_record(record, {**json.loads(record.read_text()), "spec_hash": "0", "spec": {}})
    with pytest.raises(UserError, match=r"plain/fold0-seed0/run\.json: made with other settings"):
        steps.stage(plan, "two/rounds", 0, 0, "round0")


def test_what_a_reference_reads_is_hashed_and_staleness_passes_on() -> None:
    plan = Plan.load(ASKED)
    plain, rounds = plan.run("two/plain"), plan.run("two/rounds")
    model = sha256(finished(plan, plain) / "model.safetensors")
    pool_ready(plan)
    job, inputs = prepare.job_of(plan, rounds, 0, 0, [], print)
    assert (inputs["start"], job.references["start"].out) == (model, plan.paths.job("two/plain", 0, 0))
    pool = sha256(plan.paths.tensors("covid-ct-seg", 64) / "tensors.json")
    finished(plan, rounds, pool=pool, start=model)
    pool_ready(plan)
    assert training_problem(plan, rounds, 0, 0) is None
    finished(plan, plain, "weights of another seed")
    assert training_problem(plan, rounds, 0, 0) == "made with another model.safetensors of two/plain"
    finished(plan, plain)
    record = plan.paths.job("two/plain", 0, 0) / "run.json"
    write_record(
        record, {**json.loads(record.read_text()), "spec_hash": "0", "spec": plain.spec.model_dump(mode="json")}
    )
    assert training_problem(plan, rounds, 0, 0) == (
        "made with model.safetensors of two/plain, which was made with other settings ()"
    )


def test_the_files_of_an_earlier_stage_are_those_that_it_wrote() -> None:
    plan = Plan.load(ASKED)
    rounds = plan.run("two/rounds")
    finished(plan, plan.run("two/plain"))
    pool_ready(plan)
    _, inputs = prepare.job_of(plan, rounds, 0, 0, [], print)
    folder = plan.paths.stage("two/rounds", 0, 0, "round0")
    write_text(folder / "model.safetensors", "weights")
    about = {"spec_hash": rounds.hash, "inputs": inputs}
    write_record(
        folder / "stage.json", {**about, "sha256": {"model.safetensors": sha256(folder / "model.safetensors")}}
    )
    assert prepare.job_of(plan, rounds, 0, 0, ["round0"], print)[1] == inputs
    write_text(folder / "model.safetensors", "other weights")
    with pytest.raises(UserError, match=r"round0/model\.safetensors: (damaged .*|missing); run covidseg repair"):
        prepare.job_of(plan, rounds, 0, 0, ["round0"], print)
    (folder / "model.safetensors").unlink()
    with pytest.raises(UserError, match=r"round0/model\.safetensors: (damaged .*|missing); run covidseg repair"):
        prepare.job_of(plan, rounds, 0, 0, ["round0"], print)
    (folder / "stage.json").write_text((folder / "stage.json").read_text().replace(rounds.hash, "0" * 16))
    with pytest.raises(UserError, match=r"round0/stage\.json: damaged \(not what was written\); run covidseg repair"):
        prepare.job_of(plan, rounds, 0, 0, ["round0"], print)


def test_a_circle_of_references_is_refused(paper: Path) -> None:
    paper.write_text(paper.read_text().replace("plain: {}", "plain: {input: {prior: {run: seeing}}}"))
    with pytest.raises(UserError) as e:
        Plan.load(ASKED)
    said = "runs refer to one another in a circle, two/plain to two/seeing to two/plain; remove one reference"
    assert str(e.value) == f"workflow/papers/two.yaml: runs.plain.input.prior.run: {said}"


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ("{}", "two/maker writes no labels.h5, its method is supervised; name another run"),
        ("{split: infnet-50-48-val, writes: true}", "two/maker has another data set or split; make them equal"),
        ("{classes: [ggo], writes: true}", "two/maker has other classes or another input.size; make them equal"),
        ("{input: {size: 32}, writes: true}", "two/maker has other classes or another input.size; make them equal"),
    ],
)
def test_labels_come_from_a_run_that_makes_those_of_the_same_slices(
    paper: Path, other: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if "writes" in other:
        writes_labels(monkeypatch)
    made = other.replace(", writes: true", "")
    paper.write_text(PAPER.replace("{train: {method: maker}}", made))
    with pytest.raises(UserError) as e:
        Plan.load(ASKED)
    assert str(e.value) == f"workflow/papers/two.yaml: runs.taught.train.labels.run: {message}"


def writes_labels(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let plain training count as a method that writes label maps."""
    method = type(Plan.load(ASKED).run("two/plain").spec.train)
    monkeypatch.setattr(method, "WRITES", ("model.safetensors", "labels.h5"))


def test_a_run_with_labels_of_another_waits_for_it(paper: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writes_labels(monkeypatch)
    paper.write_text(PAPER.replace("{train: {method: maker}}", "{}"))
    plan = Plan.load({**ASKED, "only": ["two/taught"]})
    taught, maker = plan.run("two/taught"), plan.run("two/maker")
    assert plan.graph.all_runs() == ["two/taught", "two/maker"]
    assert taught.spec.train.model_dump(mode="json")["labels"] == {"run": "maker"}
    assert "labels" not in maker.spec.train.model_dump(mode="json")
    folder = finished(plan, maker)
    with pytest.raises(UserError, match=r"labels\.h5: missing; run covidseg train two/maker --fold 0 --seed 0"):
        prepare.job_of(plan, taught, 0, 0, [], print)
    write_text(folder / "labels.h5", "labels")
    with pytest.raises(UserError, match=r"labels\.h5: damaged \(run\.json does not list it\); run covidseg repair"):
        prepare.job_of(plan, taught, 0, 0, [], print)
    made = json.loads((folder / "run.json").read_text())
    made["sha256"]["labels.h5"] = sha256(folder / "labels.h5")
    write_record(folder / "run.json", made)
    job, inputs = prepare.job_of(plan, taught, 0, 0, [], print)
    assert (job.references["labels"].out, inputs["labels"]) == (folder, sha256(folder / "labels.h5"))


def test_labels_need_losses_that_ignore_what_has_none(paper: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writes_labels(monkeypatch)
    text = PAPER.replace("{train: {method: maker}}", "{}")
    paper.write_text(text.replace("losses: {cross_entropy: {}}", "losses: {structure: {}}"))
    with pytest.raises(UserError, match=r"runs\.taught\.losses"):
        Plan.load(ASKED)


def test_a_start_with_labels_of_another_run_is_another_model(paper: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writes_labels(monkeypatch)
    text = PAPER.replace("{train: {method: maker}}", "{}")
    paper.write_text(text.replace("start: plain", "start: taught"))
    with pytest.raises(UserError, match=r"train\.start: two/taught differs in train\.labels; make it equal"):
        Plan.load(ASKED)
