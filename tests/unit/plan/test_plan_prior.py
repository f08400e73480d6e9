"""Plans of runs whose network sees another run's maps: what has to be made first, what is refused, what is stale."""

import functools
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from covidseg import nets, steps
from covidseg.base.errors import UserError
from covidseg.base.files import sha256
from covidseg.plan import Plan, Run
from covidseg.upkeep import prepare
from covidseg.upkeep.freshness import training_problem, usable_model
from tests.records import write_record

PAPER = """\
paper: {title: t, authors: a, venue: v, doi: d}
defaults:
  dataset: covid-semiseg
  split: infnet-50-48
  classes: [infection]
  input: {size: 64, mode: slice}
  net: {name: unet, width: 0.125}
  losses: {cross_entropy: {}}
deviations:
  shown:
    key: input.prior.train
    runs: [guided, guided-released]
    described: predicted
    released: truth
    why: the released code borrows the prior of training slices from their truth
runs:
  binary: {input: {size: 32}}
  rounds: {train: {method: self_training, pool: {dataset: covid-ct-seg}, start: plain}}
  plain: {}
  guided: &guided {classes: [ggo, consolidation], input: {prior: {run: binary}}}
  guided-released: {<<: *guided, follow: released}
  chain: {classes: [ggo, consolidation], input: {prior: {run: rounds}}}
tables:
  "1": {caption: c, protocol: standard, metrics: {Dice: dice}, rows: [{label: l, run: guided}]}
"""
ASKED = {"papers": ["two"], "mode": "paper"}


@pytest.fixture(autouse=True)
def paper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a project with one paper; return its file."""
    shutil.copytree("workflow", tmp_path / "workflow")
    file = tmp_path / "workflow" / "papers" / "two.yaml"
    file.write_text(PAPER)
    monkeypatch.chdir(tmp_path)
    return file


def test_the_run_behind_a_prior_is_made_first() -> None:
    plan = Plan.load(ASKED)
    guided = plan.run("two/guided")
    assert (guided.spec.input.channels, guided.spec.stages) == (2, ["prior"])
    assert plan.targets.runs() == ["two/guided"]
    assert plan.graph.all_runs() == ["two/guided", "two/binary"]
    assert (plan.graph.shown_in("two/guided"), plan.graph.shown_in("two/binary")) == ("table 1", "for two/guided")
    assert plan.graph.tensor_sets() == [("covid-semiseg", 64), ("covid-semiseg", 32)]


def test_what_a_model_behind_a_prior_learned_from_counts() -> None:
    plan = Plan.load({**ASKED, "only": ["two/chain"]})
    assert plan.resolver.referenced("two/chain") == ["two/rounds"]
    assert plan.graph.with_referenced() == ["two/chain", "two/rounds", "two/plain"]
    assert plan.graph.all_datasets() == ["covid-semiseg", "covid-ct-seg"]
    assert plan.graph.pools("covid-semiseg", "infnet-50-48") == {"covid-ct-seg": set()}


def test_runs_without_a_prior_are_written_as_before() -> None:
    plan = Plan.load(ASKED)
    assert plan.run("two/binary").spec.model_dump()["input"] == {"size": 32, "mode": "slice"}
    assert plan.run("two/guided").spec.model_dump()["input"]["prior"] == {"run": "binary", "train": "predicted"}


def test_a_deviation_may_concern_some_runs_only(paper: Path) -> None:
    plan = Plan.load(ASKED)
    run = plan.run("two/guided-released")
    assert run.released == ("shown",)
    assert run.spec.input.prior is not None
    assert run.spec.input.prior.train == "truth"
    assert plan.run("two/binary").spec.input.prior is None
    paper.write_text(PAPER.replace("plain: {}", "plain: {follow: {shown: released}}"))
    with pytest.raises(UserError, match=r"runs\.plain\.follow: unknown deviation 'shown'"):
        Plan.load(ASKED)
    paper.write_text(PAPER.replace("runs: [guided,", "runs: [gided,"))
    with pytest.raises(UserError, match=r"deviations\.shown\.runs: unknown name 'gided'; did you mean 'guided'"):
        Plan.load(ASKED)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("run: binary", "run: binari", "unknown run 'two/binari'; did you mean 'binary'?"),
        ("prior: {run: binary}", "prior: {train: truth}", "runs.guided: input.prior.run: missing"),
        ("{input: {size: 32}}", "{split: infnet-50-48-val}", "prior.run: two/binary has another data set or split"),
        ("{input: {size: 32}}", "{classes: [ggo, consolidation]}", "prior.run: two/binary has several classes or"),
        ("run: binary", "run: guided", "prior.run: runs refer to one another in a circle, two/guided to two/guided;"),
        (
            "input: {prior: {run: rounds}}",
            "input: {prior: {run: binary}}, train: {method: self_training, pool: {dataset: covid-ct-seg}}",
            "runs.chain.input.prior.run: two/binary maps no slice of train.pool; use train.method: supervised",
        ),
    ],
)
def test_what_cannot_be_a_prior_is_refused(paper: Path, old: str, new: str, message: str) -> None:
    assert PAPER.count(old) == 1
    paper.write_text(PAPER.replace(old, new))
    with pytest.raises(UserError) as e:
        Plan.load(ASKED)
    assert message in str(e.value)
    assert "\n" not in str(e.value)


def trained(plan: Plan, run: Run, seed: int = 0, **inputs: str) -> Path:
    """Write what a finished training of fold 0 leaves, without training; return its record."""
    import torch

    from covidseg.train.predict import save_model

    torch.manual_seed(seed)
    folder = plan.paths.job(run.id, 0, 0)
    tensors = plan.paths.tensors(run.spec.dataset, run.spec.input.size) / "tensors.json"
    write_record(tensors, {"size": run.spec.input.size})
    model = nets.build(run.spec.net, run.spec.input.channels, len(run.spec.classes) + (len(run.spec.classes) > 1))
    save_model(model, run.spec, folder / "model.safetensors")
    made_from = {"tensors": sha256(tensors), "split": sha256(plan.catalogue.split_path(run.spec.split)), **inputs}
    outputs = {"model.safetensors": sha256(folder / "model.safetensors")}
    write_record(folder / "run.json", {"spec_hash": run.hash, "inputs": made_from, "sha256": outputs})
    return folder / "run.json"


def test_a_prior_that_is_missing_or_stale_is_refused() -> None:
    plan = Plan.load(ASKED)
    binary, guided = plan.run("two/binary"), plan.run("two/guided")
    write_record(plan.paths.tensors("covid-semiseg", 64) / "tensors.json", {"size": 64})
    with pytest.raises(UserError, match=r"covid-semiseg/32/tensors\.json: missing; run covidseg tensors"):
        steps.stage(plan, guided.id, 0, 0, "prior")
    record = trained(plan, binary)
    model = usable_model(plan, binary, 0, 0)
    job, inputs = prepare.job_of(plan, guided, 0, 0, [], print)
    guide = job.references["prior"]
    assert (guide.out, guide.class_values) == (model.parent, {"infection": (1, 2)})
    assert inputs["prior"] == sha256(model)
    with pytest.raises(UserError, match=r"prior/stage\.json: missing; run covidseg stage two/guided prior --fold 0"):
        steps.train(plan, guided.id, 0, 0)
    done = plan.paths.stage(guided.id, 0, 0, "prior") / "stage.json"
    write_record(done, {"spec_hash": guided.hash, "inputs": inputs, "sha256": {}})
    assert prepare.job_of(plan, guided, 0, 0, ["prior"], print)[0].references
    trained(plan, guided, prior=inputs["prior"])
    assert training_problem(plan, guided, 0, 0) is None
    trained(plan, binary, seed=1)  # trained again: another model
    assert training_problem(plan, guided, 0, 0) == "made with another model.safetensors of two/binary"
    with pytest.raises(UserError, match=r"prior/stage\.json: made from other data or another model; run covidseg"):
        steps.train(plan, guided.id, 0, 0)
    made = json.loads(record.read_text())
    write_record(record, {**made, "spec_hash": "of another row", "spec": {}})
    with pytest.raises(UserError, match=r"two/binary/fold0-seed0/run\.json: made with other settings .*run covidseg"):
        steps.stage(plan, guided.id, 0, 0, "prior")
    model.unlink()
    with pytest.raises(
        UserError, match=r"model\.safetensors: missing; run covidseg train two/binary --fold 0 --seed 0"
    ):
        steps.stage(plan, guided.id, 0, 0, "prior")


def test_whole_scans_are_predicted_with_their_prior() -> None:
    from covidseg.data.tensors import resize
    from covidseg.inference.masks import member
    from covidseg.train.predict import load_model, predict

    plan = Plan.load(ASKED)
    binary, guided = plan.run("two/binary"), plan.run("two/guided")
    trained(plan, binary)
    _, inputs = prepare.job_of(plan, binary, 0, 0, [], print)
    prior = sha256(usable_model(plan, binary, 0, 0))
    trained(plan, guided, prior=prior)
    assert inputs.keys() == {"tensors", "split"}

    @functools.cache
    def cut(size: int) -> tuple[np.ndarray, np.ndarray]:
        images = np.random.default_rng(size).integers(0, 256, (2, size, size), np.uint8)
        return images, np.ones_like(images)

    found = member(plan, guided, 0, 0)(cut)
    models = [load_model(plan.paths.job(run.id, 0, 0), run.spec) for run in (binary, guided)]
    map_ = predict(models[0], *cut(32), binary.spec, "cpu")[:, 0]
    grown = np.stack([resize(one, (64, 64)) for one in map_])
    np.testing.assert_array_equal(found, predict(models[1], *cut(64), guided.spec, "cpu", grown))
    assert found.shape == (2, 2, 64, 64)
