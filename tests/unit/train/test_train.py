"""Training on discs in noise: what it learns, what it writes, and that a kill changes nothing."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import resource as os_resource
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from covidseg.base.errors import UserError
from covidseg.data import tensors
from covidseg.train import OUTPUTS, loader, loop, resume, run, stage
from covidseg.train.predict import load_model, maps_of, predict
from covidseg.train.stages import folder
from tests.unit.train import blobs

LONGER = {"epochs": 16, "batch": 5, "optimizer": {"lr": 3e-3}}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return blobs.make(tmp_path_factory.mktemp("blobs") / "data")


@pytest.fixture(scope="module")
def undisturbed(data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """Train blobs.SPEC once; return the folder and the facts."""
    out = tmp_path_factory.mktemp("undisturbed")
    return out, run(blobs.job(data, out), blobs.quiet)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_facts(undisturbed: tuple[Path, dict[str, Any]]) -> None:
    out, facts = undisturbed
    assert facts["device"] == "cpu"
    assert facts["slices"] == {"train": 24, "val": 6, "test": 6}
    assert (facts["epochs"], facts["resumed"], facts["notes"]) == (4, False, [])
    assert facts["peak_gpu_memory_mb"] == 0
    assert json.dumps(facts)
    assert 0 < facts["seconds"] < 60
    # 96 slices were learned in a part of all seconds
    assert facts["slices_per_second"] * facts["seconds"] > 0.99 * 96
    assert sorted(path.name for path in out.iterdir()) == sorted(OUTPUTS)


def test_a_case_may_validate_and_test(data: Path, tmp_path: Path) -> None:
    roles = ["train"] * 4 + ["val+test", "test"]
    lines = [f"0,case{i},{role}" for i, role in enumerate(roles)]
    (tmp_path / "both.csv").write_text("\n".join(["fold,case,role", *lines]) + "\n")
    job = dataclasses.replace(blobs.job(data, tmp_path / "out"), split=tmp_path / "both.csv")
    rows = loader.rows_by_role(job, tensors.load(data))
    assert {role: (found[0], found[-1]) for role, found in rows.items()} == {
        "train": (0, 23), "val": (24, 29), "test": (24, 35)
    }  # fmt: skip


def test_same_seed_same_bytes_other_seed_other_bytes(
    data: Path, tmp_path: Path, undisturbed: tuple[Path, dict[str, Any]]
) -> None:
    run(blobs.job(data, tmp_path / "same"), blobs.quiet)
    run(blobs.job(data, tmp_path / "other", seed=1), blobs.quiet)
    assert contents(tmp_path / "same") == contents(undisturbed[0])
    assert contents(tmp_path / "other")["model.safetensors"] != contents(undisturbed[0])["model.safetensors"]


def test_killed_anywhere_it_ends_in_the_same_bytes(
    data: Path, tmp_path: Path, undisturbed: tuple[Path, dict[str, Any]]
) -> None:
    points = [
        "batch:1",
        "batch:4",
        "resume.pt:3",
        "batch:6",
        "resume.pt:1",
        "batch:8",
        "model.safetensors:1",
        "history.csv:1",
    ]
    points += ["predictions.h5:1"]
    subprocess.run([sys.executable, blobs.__file__, str(data), str(tmp_path), *points], check=True)
    assert "resume.pt" in contents(tmp_path)
    facts = run(blobs.job(data, tmp_path), blobs.quiet)
    assert facts["resumed"]
    assert contents(tmp_path) == contents(undisturbed[0])


def test_slices_are_changed_in_the_same_way_each_time(
    data: Path, tmp_path: Path, undisturbed: tuple[Path, dict[str, Any]]
) -> None:
    asked = blobs.SPEC["train"] | {"augment": {"rotate": 10, "scale": 0.1, "mirror": True, "intensity": 0.1}}
    for name in ("one", "other"):
        run(blobs.job(data, tmp_path / name, train=asked), blobs.quiet)
    assert contents(tmp_path / "one") == contents(tmp_path / "other")
    assert contents(tmp_path / "one")["model.safetensors"] != contents(undisturbed[0])["model.safetensors"]


@pytest.mark.parametrize("how", ["other spec", "damaged"])
def test_a_useless_resume_state_is_ignored_and_said(
    how: str, data: Path, tmp_path: Path, undisturbed: tuple[Path, dict[str, Any]]
) -> None:
    state = tmp_path / "resume.pt"
    if how == "other spec":
        resume.Resume(tmp_path, "of another job").save(lambda: {})
    else:
        state.write_bytes(b"torn")
    facts = run(blobs.job(data, tmp_path), blobs.quiet)
    assert facts["notes"] == [
        f"ignored a {'resume state of another spec' if how == 'other spec' else 'damaged resume state'}"
    ]
    assert not facts["resumed"]
    assert contents(tmp_path) == contents(undisturbed[0])


def test_identity_is_all_that_decides_the_result(data: Path, tmp_path: Path) -> None:
    jobs = [
        blobs.job(data, tmp_path),
        blobs.job(data, tmp_path, seed=1),
        blobs.job(data, tmp_path, fold=1),
        blobs.job(data, tmp_path, class_values={"lesion": (1, 2)}),
        blobs.job(data, tmp_path, net={"name": "unet", "width": 0.125}),
    ]
    assert len({job.identity() for job in jobs}) == 5
    assert jobs[0].identity() == blobs.job(data, tmp_path / "elsewhere").identity()


@pytest.mark.parametrize("name", ["image", "lung", "label"])
def test_tensors_that_were_written_again_are_others(name: str, data: Path, tmp_path: Path) -> None:
    shutil.copytree(data, tmp_path / "own")
    for folders in ({"data": tmp_path / "own"}, {"data": data, "pool": tmp_path / "own"}):
        job = dataclasses.replace(blobs.job(folders["data"], tmp_path), pool=folders.get("pool"))
        before = job.identity()
        assert job.identity() == before
        path = tmp_path / "own" / f"{name}.npy"
        os.utime(path, ns=(0, path.stat().st_mtime_ns + 1000))
        assert job.identity() != before


def test_states_are_rare_enough_to_cost_little(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(resume.time, "monotonic", lambda: now)
    states = resume.Resume(tmp_path, "")
    now += 19.9
    assert not states.due()
    now += 0.2
    assert states.due()
    states.save(lambda: {})
    states._cost = 3.0  # a write of three seconds waits for 150
    now += 149
    assert not states.due()
    now += 2
    assert states.due()


def test_it_learns_and_predicts(data: Path, tmp_path: Path) -> None:
    job = blobs.job(data, tmp_path, train=LONGER)
    facts = run(job, blobs.quiet)
    assert facts["val_dsc"] > 0.6
    with h5py.File(tmp_path / "predictions.h5") as file:
        assert json.loads(file.attrs["classes"]) == ["lesion"]
        prob, index = file["prob"][()], file["index"][()]
    assert (prob.dtype, prob.shape, index.dtype, index.tolist()) == (
        "uint8",
        (6, 1, 32, 32),
        "int32",
        list(range(30, 36)),
    )
    truth = np.load(data / "label.npy")[30:] == 1
    found = prob[:, 0] >= 128
    dsc = 2 * (truth & found).sum((1, 2)) / (truth.sum((1, 2)) + found.sum((1, 2)))
    assert dsc.mean() > 0.6

    image, lung = np.load(data / "image.npy")[30:], np.load(data / "lung.npy")[30:]
    model = load_model(tmp_path, job.spec)
    np.testing.assert_array_equal(predict(model, image, lung, job.spec, "cpu"), prob)
    one_by_one = predict(model, iter(image), iter(lung), job.spec, "cpu").astype(int)
    assert np.abs(one_by_one - prob).max() <= 1
    assert predict(model, image[:0], lung[:0], job.spec, "cpu").shape == (0, 1, 0, 0)
    with pytest.raises(UserError, match="needs lung masks and none were given"):
        predict(model, image, None, job.spec, "cpu")


def test_history_shows_each_loss_from_its_epoch(undisturbed: tuple[Path, dict[str, Any]]) -> None:
    lines = (undisturbed[0] / "history.csv").read_text().splitlines()
    columns = ["epoch", "lr", "dice", "self_attention", "val_dsc"]
    assert lines[0] == '"epoch","lr","dice","self_attention","val_dsc"'
    rows = [dict(zip(columns, line.split(","), strict=True)) for line in lines[1:]]
    assert [row["lr"] for row in rows] == ["0.003", "0.003", "0.003", "0.0003"]
    assert [row["self_attention"] != "" for row in rows] == [False, False, True, True]
    best = max(rows, key=lambda row: float(row["val_dsc"]))
    assert int(best["epoch"]) == undisturbed[1]["best_epoch"]
    assert float(best["val_dsc"]) == pytest.approx(undisturbed[1]["val_dsc"], abs=1e-5)


def test_without_validation_cases_the_last_epoch_is_kept(data: Path, tmp_path: Path) -> None:
    facts = run(blobs.job(data, tmp_path, fold=1), blobs.quiet)
    assert (facts["best_epoch"], facts["val_dsc"]) == (3, None)
    assert facts["notes"] == ["no validation cases: the last epoch is kept"]


def test_validation_every_few_epochs_and_after_the_last(data: Path, tmp_path: Path) -> None:
    run(blobs.job(data, tmp_path, train={"epochs": 5, "batch": 12, "validate_every": 3}), blobs.quiet)
    lines = (tmp_path / "history.csv").read_text().splitlines()[1:]
    assert [line.split(",")[-1] != "" for line in lines] == [False, False, True, False, True]


@pytest.mark.parametrize(
    ("mode", "classes", "values", "net"),
    [
        ("slice", ["lung"], {"lung": ()}, "unet"),
        ("masked", ["lesion"], {"lesion": (1,)}, "unet"),
        ("slice", ["lung", "lesion"], {"lung": (), "lesion": (1,)}, "ssanet"),
    ],
)
def test_modes_and_classes(
    mode: str, classes: list[str], values: dict[str, tuple[int, ...]], net: str, data: Path, tmp_path: Path
) -> None:
    changes = {"input": {"size": 32, "mode": mode}, "classes": classes, "losses": {"dice": {}, "cross_entropy": {}}}
    train = {"epochs": 6, "batch": 6, "optimizer": {"lr": 1e-2}}
    job = blobs.job(data, tmp_path, class_values=values, net={"name": net, "width": 0.125}, train=train, **changes)
    facts = run(job, blobs.quiet)
    assert facts["val_dsc"] > 0.3
    with h5py.File(tmp_path / "predictions.h5") as file:
        assert file["prob"].shape == (6, len(classes), 32, 32)


@pytest.mark.parametrize("fold", [0, 1])
def test_a_loss_that_is_no_number_stops_with_the_place_and_the_remedy(fold: int, data: Path, tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text("{}")  # of an earlier training
    train = {"epochs": 3, "batch": 5, "optimizer": {"name": "sgd", "lr": 1e30}}
    with pytest.raises(UserError) as e:
        run(blobs.job(data, tmp_path, fold=fold, train=train), blobs.quiet)
    assert str(e.value).startswith(
        f"{tmp_path}: the loss became NaN or infinite in epoch 0, batch 1; lower train.optimizer.lr"
    )
    assert "\n" not in str(e.value)
    assert contents(tmp_path) == {}


def test_weights_that_overflow_in_the_last_step_are_no_result(data: Path, tmp_path: Path) -> None:
    train = {"epochs": 1, "batch": 24, "optimizer": {"name": "sgd", "lr": 1e38, "weight_decay": 1e38}}
    with pytest.raises(UserError, match="the weights became NaN or infinite in epoch 0"):
        run(blobs.job(data, tmp_path, train=train), blobs.quiet)
    assert contents(tmp_path) == {}


def test_what_is_left_of_a_gradient_goes_into_the_next_epoch(data: Path, tmp_path: Path) -> None:
    """Two epochs of three batches, a step every four: one step, in the second epoch, so its rate is the second's."""
    train = {"epochs": 2, "batch": 8, "accumulate": 4, "optimizer": {"lr": 1e-2, "step": 1, "factor": 0.0}}
    run(blobs.job(data, tmp_path, train=train), blobs.quiet)
    torch.manual_seed(int(blobs.job(data, tmp_path).random(-1).integers(2**63)))
    from covidseg import nets

    fresh = nets.build(blobs.SPEC["net"], 2, 1)
    trained = load_model(tmp_path, blobs.job(data, tmp_path).spec)
    assert all(torch.equal(a, b) for a, b in zip(fresh.parameters(), trained.parameters(), strict=True))


def test_scales() -> None:
    """Inf-Net's, at 352: 264 and 440 pixels become 256 and 448. A small slice keeps 32; scale 1 rounds nothing."""
    assert [loop.side(352, scale) for scale in (0.75, 1.0, 1.25)] == [256, 352, 448]
    assert [loop.side(33, scale) for scale in (0.25, 1.0)] == [32, 33]
    x = torch.zeros(1, 2, 32, 32)
    x[:, :, :, 16:] = 1
    target = x[:, 0].to(torch.uint8)
    larger, labels = loop.at_scale(x, target, 2.0)
    assert (larger.shape, labels.shape, labels.dtype) == ((1, 2, 64, 64), (1, 64, 64), torch.uint8)
    assert larger[0, 1, 5, 30:34].tolist() == [0, 0.25, 0.75, 1]
    assert labels[0, 5, 30:34].tolist() == [0, 0, 1, 1]


def test_a_batch_is_learned_at_each_scale_in_turn(data: Path, tmp_path: Path) -> None:
    """Three batches, two scales, a step every six: the one step falls on the last, or on none of five."""
    from covidseg import nets

    for accumulate, moved in ((6, True), (7, False)):
        train = {"epochs": 1, "batch": 8, "accumulate": accumulate, "scales": [1.0, 2.0], "optimizer": {"lr": 1e-2}}
        job = blobs.job(data, tmp_path / str(accumulate), train=train)
        run(job, blobs.quiet)
        torch.manual_seed(int(job.random(-1).integers(2**63)))
        fresh, trained = nets.build(blobs.SPEC["net"], 2, 1), load_model(job.out, job.spec)
        same = [torch.equal(a, b) for a, b in zip(fresh.parameters(), trained.parameters(), strict=True)]
        assert all(same) != moved


def test_stopped_amid_dropout_and_scales_it_ends_in_the_same_bytes(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes = {"net": {"name": "fcn8s", "width": 0.0625}, "losses": {"dice": {}}}
    train = {"epochs": 2, "batch": 12, "scales": [1.0, 2.0], "optimizer": {"clamp": 0.5}}
    run(blobs.job(data, tmp_path / "one", train=train, **changes), blobs.quiet)
    blobs.states_at_once(monkeypatch)
    calls = 0

    def stop(*told: Any) -> None:
        nonlocal calls
        calls += 1
        if calls == 4:
            raise KeyboardInterrupt

    job = blobs.job(data, tmp_path / "two", train=train, **changes)
    with pytest.raises(KeyboardInterrupt):
        run(job, stop)
    assert run(job, blobs.quiet)["resumed"]
    assert contents(tmp_path / "two") == contents(tmp_path / "one")


@pytest.mark.parametrize(("limit", "often", "file"), [(1_000_000, False, "model"), (1_000_000, True, "resume")])
def test_a_full_disk_says_so_and_leaves_no_result(
    limit: int, often: bool, file: str, data: Path, tmp_path: Path
) -> None:
    """A limit on the size of files stands for the disk: the process is refused further bytes just so."""
    child = os.fork()
    if not child:
        if often:
            resume.SECONDS, resume.SHARE = 0.0, float("inf")
        os_resource.setrlimit(os_resource.RLIMIT_FSIZE, (limit, limit))
        try:
            run(blobs.job(data, tmp_path), blobs.quiet)
        except UserError as e:
            os._exit(0 if str(e).startswith(f"{tmp_path / file}.") and "\n" not in str(e) else 1)
        os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert contents(tmp_path) == {}


def test_bad_models(data: Path, tmp_path: Path, undisturbed: tuple[Path, dict[str, Any]]) -> None:
    spec = blobs.job(data, tmp_path).spec
    with pytest.raises(UserError, match=r"model.safetensors: missing; train it again"):
        load_model(tmp_path, spec)
    (tmp_path / "model.safetensors").write_bytes((undisturbed[0] / "model.safetensors").read_bytes()[:-1000])
    with pytest.raises(UserError, match=r"model.safetensors: damaged .*; train it again"):
        load_model(tmp_path, spec)
    with pytest.raises(UserError, match="made by another network, input or set of classes"):
        load_model(undisturbed[0], blobs.job(data, tmp_path, net={"name": "ssanet", "width": 0.25}).spec)
    with safe_open(undisturbed[0] / "model.safetensors", "pt") as file:
        weights, made_by = {name: file.get_tensor(name) for name in file.keys()}, file.metadata()  # noqa: SIM118
    left_out = sorted(weights)[0]
    del weights[left_out]
    save_file(weights, tmp_path / "model.safetensors", made_by)
    with pytest.raises(UserError, match=rf'does not fit the network \(Missing key.*"{left_out}"'):
        load_model(tmp_path, spec)


def test_a_model_predicts_with_the_statistics_of_its_training(
    data: Path, undisturbed: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    """Also one that is given as it is while it trains, in ``predict`` and in what writes the predictions."""
    job = blobs.job(data, tmp_path)
    model = load_model(undisturbed[0], job.spec)
    image, lung = np.load(data / "image.npy")[30:], np.load(data / "lung.npy")[30:]
    expected = predict(model, image, lung, job.spec, "cpu")
    np.testing.assert_array_equal(predict(model.train(), image, lung, job.spec, "cpu"), expected)
    whole = loader.SliceLoader([loader.Slices(tensors.load(data), {"lesion": (1,)})], "slice+lung", torch.device("cpu"))
    (written,) = maps_of(model.train(), whole, np.arange(30, 36))
    np.testing.assert_array_equal(written, expected)


def test_a_case_without_tensors(data: Path, tmp_path: Path) -> None:
    split = tmp_path / "split.csv"
    split.write_text("fold,case,role\n0,case0,train\n0,nobody,test\n")
    from dataclasses import replace

    job = replace(blobs.job(data, tmp_path / "out"), split=split)
    with pytest.raises(UserError, match="case 'nobody' is not in"):
        run(job, blobs.quiet)


def test_progress_counts_up(data: Path, tmp_path: Path) -> None:
    seen: list[tuple[float, float, str]] = []
    run(blobs.job(data, tmp_path), lambda *told: seen.append(told))
    done = [told[0] for told in seen]
    assert done == sorted(done)
    assert (len(seen), done[0], done[-1]) == (21, 0, 4)  # four epochs of five batches, and the end
    assert all(total == 4 for _, total, _ in seen)
    assert "dice 0.8" in seen[-1][2]
    assert "best val DSC" in seen[-1][2]
    assert not math.isnan(done[1])


def test_the_record_goes_before_what_it_records(data: Path, tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text("{}")
    (tmp_path / OUTPUTS[0]).mkdir()  # stops at the first output, as a kill would
    with pytest.raises(OSError):  # noqa: PT011 (its kind depends on the system)
        run(blobs.job(data, tmp_path), blobs.quiet)
    assert not (tmp_path / "run.json").exists()


@pytest.mark.parametrize("name", ["", "round1"])
def test_before_any_method_begins_what_looks_finished_is_gone(
    name: str, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Results of another time, and what a kill left half-written; the state of a killed training stays."""
    job = blobs.job(data, tmp_path)
    out = folder(tmp_path, name) if name else tmp_path
    out.mkdir(parents=True, exist_ok=True)
    for file in (*OUTPUTS, "run.json", ".history.csv.x1", ".resume.pt.x2", "resume.pt", "notes.txt"):
        (out / file).write_text("old")

    class Stops:
        @staticmethod
        def train(job: Any, progress: Any) -> None:
            raise KeyboardInterrupt

        @staticmethod
        def stage(job: Any, name: str, progress: Any) -> None:
            raise KeyboardInterrupt

    monkeypatch.setattr("covidseg.train._method", lambda job: Stops)
    with pytest.raises(KeyboardInterrupt):
        stage(job, name, blobs.quiet) if name else run(job, blobs.quiet)
    assert sorted(path.name for path in out.iterdir()) == ["notes.txt", "resume.pt"]


@pytest.mark.parametrize("calls", [6, 9, 11, 16])
def test_stopped_around_a_restart_it_ends_in_the_same_bytes(
    calls: int, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Five batches an epoch, a new optimizer with epoch 2: stopped before, at and after its first step, and later."""
    train = {"epochs": 4, "batch": 5, "optimizer": {"lr": 1e-2, "step": 2, "restart": {"epoch": 2, "lr": 3e-3}}}
    changes = {"losses": {"dice": {}}, "train": train}
    facts = run(blobs.job(data, tmp_path / "one", **changes), blobs.quiet)
    assert facts["epochs"] == 4
    blobs.states_at_once(monkeypatch)
    left = calls

    def stop(*told: Any) -> None:
        nonlocal left
        left -= 1
        if not left:
            raise KeyboardInterrupt

    job = blobs.job(data, tmp_path / "two", **changes)
    with pytest.raises(KeyboardInterrupt):
        run(job, stop)
    assert run(job, blobs.quiet)["resumed"]
    assert contents(tmp_path / "two") == contents(tmp_path / "one")


def test_a_restart_is_a_new_optimizer(data: Path, tmp_path: Path) -> None:
    """It forgets its moments once, and its rate in the history is its own."""
    from covidseg.train.optimizer import Optimizer

    resets = []
    original = Optimizer.reset

    def reset(self: Optimizer) -> None:
        resets.append(float(self.state["step"]))
        original(self)

    train = {"epochs": 4, "batch": 5, "optimizer": {"lr": 1e-2, "restart": {"epoch": 2, "lr": 3e-3}}}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Optimizer, "reset", reset)
        run(blobs.job(data, tmp_path, losses={"dice": {}}, train=train), blobs.quiet)
    assert resets == [0, 10]  # as it is made, and after two epochs of five steps
    rates = [line.split(",")[1] for line in (tmp_path / "history.csv").read_text().splitlines()[1:]]
    assert rates == ["0.01", "0.01", "0.003", "0.003"]
