"""Adversarial semi-supervision on discs in noise: its losses by hand, its phases, and that a kill changes nothing."""

from __future__ import annotations

import copy
import csv
import dataclasses
import math
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch

from covidseg.base.errors import UserError
from covidseg.losses.dice import dice
from covidseg.schema import RunSpec, parse
from covidseg.train import Job, adversary, run
from covidseg.train.adversary import simplex
from covidseg.train.predict import load_model
from tests.unit.train import blobs

SPEC: dict[str, Any] = {
    "classes": ["lesion"],
    "input": {"size": 32, "mode": "slice"},
    "net": {"name": "vqresnet", "width": 0.0625, "codes": 8},
    "losses": {"cross_entropy": {}, "proportions": {"weight": 0.5}, "vq": {}},
}
TRAIN: dict[str, Any] = {
    "method": "adversarial",
    "pool": {"dataset": "more"},
    "epochs": 4,
    "from_epoch": 2,
    "batch": 8,
    "accumulate": 2,
    "optimizer": {"name": "sgd", "lr": 0.01, "momentum": 0.9},
}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return blobs.make(tmp_path_factory.mktemp("blobs") / "data")


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return blobs.make(tmp_path_factory.mktemp("pool") / "data")


def a_job(data: Path, pool: Path, out: Path, **changes: Any) -> Job:
    job = blobs.job(data, out, **(SPEC | {"train": TRAIN} | changes))
    return dataclasses.replace(job, pool=pool)


@pytest.fixture(scope="module")
def undisturbed(data: Path, pool: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """Train once; return the folder and the facts."""
    out = tmp_path_factory.mktemp("undisturbed")
    return out, run(a_job(data, pool, out), blobs.quiet)


def history(folder: Path) -> list[dict[str, str]]:
    with open(folder / "history.csv") as file:
        return list(csv.DictReader(file))


def test_both_phases_are_in_the_history(undisturbed: tuple[Path, dict[str, Any]]) -> None:
    out, facts = undisturbed
    rows = history(out)
    assert list(rows[0]) == [
        "epoch", "lr", "cross_entropy", "proportions", "vq", "semi", "adversarial", "discriminator", "trusted", "codes",
        "val_dsc",
    ]  # fmt: skip
    assert [bool(row["semi"]) for row in rows] == [False, False, True, True]
    assert all(1 <= float(row["codes"]) <= 16 for row in rows)
    assert facts["best_epoch"] >= 2
    assert facts["pool"] == 36
    assert facts["trusted"] == [float(row["trusted"]) for row in rows[2:]]
    assert facts["codes"]["of"] == 8


def test_the_predictions_hold_what_the_figure_shows(
    data: Path, pool: Path, undisturbed: tuple[Path, dict[str, Any]]
) -> None:
    """The discriminator's confidence, and the reconstruction by the model that was kept."""
    with h5py.File(undisturbed[0] / "predictions.h5") as file:
        assert {name: file[name].shape for name in file} == {
            "index": (6,), "prob": (6, 1, 32, 32), "confidence": (6, 32, 32), "reconstruction": (6, 32, 32),
        }  # fmt: skip
        index, shown, confidence = (file[name][()] for name in ("index", "reconstruction", "confidence"))
    net = load_model(undisturbed[0], a_job(data, pool, undisturbed[0]).spec)
    x = torch.from_numpy(np.load(data / "image.npy")[index])[:, None] / 255
    with torch.no_grad():
        made = net.reconstruct(x)[:, 0]  # type: ignore[operator]
    assert np.abs((made * 255).round().numpy() - shown).max() <= 1
    assert 0 < confidence.min() <= confidence.max() < 255


def test_at_first_the_discriminator_knows_nothing(
    data: Path, pool: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Logits of 0 are a confidence of 1/2: L_adv is ln 2, L_D twice that, all pixels are above 0.2, none above 1/2."""
    build = adversary.Discriminator

    def silent(*given: Any) -> torch.nn.Module:
        made = build(*given)
        with torch.no_grad():
            for parameter in made.parameters():
                parameter.zero_()
        return made

    monkeypatch.setattr(adversary, "Discriminator", silent)
    for trust, trusted in ((0.2, "1.0"), (0.5, "0.0")):
        train = TRAIN | {"epochs": 2, "from_epoch": 1, "batch": 24, "accumulate": 1, "trust": trust}
        run(a_job(data, pool, tmp_path / trusted, train=train), blobs.quiet)
        row = history(tmp_path / trusted)[1]
        assert float(row["adversarial"]) == pytest.approx(math.log(2), abs=1e-5)
        assert float(row["discriminator"]) == pytest.approx(2 * math.log(2), abs=1e-5)
        assert row["trusted"] == trusted
        assert (float(row["semi"]) > 0) == (trusted == "1.0")


def test_gradients_of_a_step_by_hand(data: Path, pool: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Equations 12 to 14 with plain torch: what the first step of the second phase adds to the gradients of both."""
    bce = torch.nn.functional.binary_cross_entropy_with_logits
    real, steps = adversary.Adversary._backward, []

    def compared(self: adversary.Adversary, *batch: torch.Tensor) -> dict[str, torch.Tensor]:
        if len(batch) < 3 or steps:
            return real(self, *batch)
        (x, target, u), net, judge = batch, copy.deepcopy(self.model), copy.deepcopy(self.adversary)
        there = [*self.model.parameters(), *self.adversary.parameters()]
        before = [parameter.grad.clone() for parameter in there]  # of a batch of the first phase: an update takes two
        logits, found = net(x)["logits"], net(u)["logits"]
        two, believed = simplex(logits), judge(simplex(found))
        # A new discriminator says nearly the same everywhere: trust above the median, which is half of the pixels.
        trust = torch.sigmoid(believed).median().item()
        half = self.method.model_copy(update={"trust": trust})
        monkeypatch.setattr(adversary.Adversary, "method", property(lambda self: half))
        told = real(self, *batch)
        trusted = torch.sigmoid(believed) > trust
        assert 0.4 < trusted.float().mean() < 0.6
        pseudo = (found > 0).float()
        masked = torch.where(trusted, pseudo, 255)[:, 0].to(torch.uint8)
        ones = torch.ones_like(believed)
        labelled = bce(logits[:, 0], target.float()) + 0.5 * dice({"logits": logits}, target)
        ours = labelled + 0.3 * bce(judge(two), ones)
        ours = ours + 0.7 * bce(found[trusted], pseudo[trusted]) + 0.5 * dice({"logits": found}, masked)
        ours = ours + 0.3 * bce(believed, ones)
        truth = torch.stack([1 - target.float(), target.float()], 1)
        theirs = bce(judge(two.detach()), 0 * ones) + bce(judge(truth), ones)
        wanted = [*torch.autograd.grad(ours / 2, list(net.parameters()))]
        wanted += torch.autograd.grad(theirs / 2, list(judge.parameters()))
        for parameter, old, added in zip(there, before, wanted, strict=True):
            torch.testing.assert_close(parameter.grad - old, added, rtol=1e-3, atol=1e-5)
        steps.append(told)
        return told

    monkeypatch.setattr(adversary.Adversary, "_backward", compared)
    train = TRAIN | {"epochs": 2, "from_epoch": 1, "semi": 0.7, "adversarial": 0.3}
    losses = {"cross_entropy": {}, "dice": {"weight": 0.5}}
    run(a_job(data, pool, tmp_path, net={"name": "unet", "width": 0.0625}, losses=losses, train=train), blobs.quiet)
    assert len(steps) == 1


@pytest.mark.parametrize("lungs", ["labels", "none"])
def test_the_pool_has_lung_masks_where_the_labelled_slices_have(
    lungs: str, data: Path, pool: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without lung masks the whole slice counts as lung, whatever the pool's own data set brings."""
    real, seen = adversary.Adversary._backward, []

    def keep(self: adversary.Adversary, *batch: torch.Tensor) -> dict[str, torch.Tensor]:
        seen.extend(batch[2:])
        return real(self, *batch)

    monkeypatch.setattr(adversary.Adversary, "_backward", keep)
    changes = {"input": {"size": 32, "mode": "slice+lung"}, "net": {"name": "unet", "width": 0.0625}, "lungs": lungs}
    train = TRAIN | {"epochs": 2, "from_epoch": 1, "batch": 24}
    run(a_job(data, pool, tmp_path, losses={"cross_entropy": {}}, train=train, **changes), blobs.quiet)
    assert {tuple(u.shape) for u in seen} == {(24, 2, 32, 32)}
    assert bool((seen[0][:, 1] == 1).all()) == (lungs == "none")


def test_a_pool_that_is_trusted_throughout_or_never_is_a_note(data: Path, pool: Path, tmp_path: Path) -> None:
    train = TRAIN | {"epochs": 2, "from_epoch": 1, "batch": 24, "accumulate": 1}
    always = run(a_job(data, pool, tmp_path / "1", train=train | {"trust": 0.0}), blobs.quiet)
    never = run(a_job(data, pool, tmp_path / "0", train=train | {"trust": 0.999}), blobs.quiet)
    assert "every pixel of the pool was trusted throughout: the discriminator chose nothing" in always["notes"]
    assert "no pixel of the pool was ever trusted: nothing was learned from pseudo labels" in never["notes"]


def test_before_the_second_phase_it_is_supervised_training(
    data: Path, pool: Path, tmp_path: Path, undisturbed: tuple[Path, dict[str, Any]]
) -> None:
    """The same settings without the method: the same losses and validation, to the last digit that is written."""
    train = {key: TRAIN[key] for key in ("epochs", "batch", "accumulate", "optimizer")}
    run(blobs.job(data, tmp_path, **(SPEC | {"train": train})), blobs.quiet)
    plain, semi = history(tmp_path), history(undisturbed[0])
    common = list(plain[0])
    assert [[row[key] for key in common] for row in semi[:2]] == [[row[key] for key in common] for row in plain[:2]]
    assert semi[3]["cross_entropy"] != plain[3]["cross_entropy"]


@pytest.mark.parametrize("calls", [2, 8, 9, 12])
def test_stopped_in_either_phase_it_ends_in_the_same_bytes(
    calls: int,
    data: Path,
    pool: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    undisturbed: tuple[Path, dict[str, Any]],
) -> None:
    """Three batches an epoch, an update every two: the eighth call is amid the gradients of the second phase."""
    blobs.states_at_once(monkeypatch)
    left = calls

    def stop(*told: Any) -> None:
        nonlocal left
        left -= 1
        if not left:
            raise KeyboardInterrupt

    job = a_job(data, pool, tmp_path)
    with pytest.raises(KeyboardInterrupt):
        run(job, stop)
    facts = run(job, blobs.quiet)
    assert facts["resumed"]
    assert facts["trusted"] == undisturbed[1]["trusted"]
    for name in ("model.safetensors", "history.csv", "predictions.h5"):
        assert (tmp_path / name).read_bytes() == (undisturbed[0] / name).read_bytes(), name


def test_a_pool_smaller_than_a_batch_is_repeated(data: Path, pool: Path, tmp_path: Path) -> None:
    """Two slices, batches of 24 and of 30 from 24 labelled slices."""
    few = {"dataset": "more", "without": [f"case{k}" for k in range(5)]}
    for batch in (24, 30):
        train = TRAIN | {"epochs": 2, "from_epoch": 1, "batch": batch, "accumulate": 1, "pool": few}
        facts = run(a_job(data, pool, tmp_path / str(batch), train=train), blobs.quiet)
        assert facts["pool"] == 6


def test_several_classes(data: Path, pool: Path, tmp_path: Path) -> None:
    train = TRAIN | {"epochs": 2, "from_epoch": 1, "scales": [1.0, 2.0]}
    changes = {"classes": ["lesion", "lung"], "class_values": {"lesion": (1,), "lung": ()}, "train": train}
    facts = run(a_job(data, pool, tmp_path, **changes), blobs.quiet)
    assert facts["epochs"] == 2


def test_the_probabilities_add_up_to_one() -> None:
    logits = torch.tensor([math.log(3.0), 0.0]).view(1, 1, 1, 2)
    assert simplex(logits).flatten().tolist() == pytest.approx([0.25, 0.5, 0.75, 0.5])
    assert simplex(torch.zeros(1, 4, 1, 1)).flatten().tolist() == [0.25] * 4


# ---- bad input


def test_a_second_phase_beyond_the_epochs() -> None:
    given = {"dataset": "blobs", "split": "blobs"} | SPEC | {"train": TRAIN | {"from_epoch": 4}}
    with pytest.raises(
        UserError, match=r"^mine: train\.from_epoch: must be below train\.epochs, 4, or .* \(found '4'\)$"
    ):
        parse(RunSpec, given, "mine")


def test_a_pool_without_slices(data: Path, pool: Path, tmp_path: Path) -> None:
    nothing = {"dataset": "more", "without": [f"case{k}" for k in range(6)]}
    with pytest.raises(UserError, match=r"train\.pool: more has no unlabelled slice; name another data set"):
        run(a_job(data, pool, tmp_path, train=TRAIN | {"pool": nothing}), blobs.quiet)


def test_a_discriminator_that_is_no_number(data: Path, pool: Path, tmp_path: Path) -> None:
    train = TRAIN | {"epochs": 3, "from_epoch": 1, "accumulate": 1, "discriminator_lr": 1e38}
    with pytest.raises(
        UserError, match=r"the discriminator became NaN or infinite in epoch 1, .*; lower train\.discrim"
    ):
        run(a_job(data, pool, tmp_path, train=train), blobs.quiet)
    assert list(tmp_path.iterdir()) == []


def test_a_collapsed_codebook_is_a_note(
    data: Path, pool: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A codebook whose first code is the origin and whose others are far away uses the first only."""
    from covidseg.nets import quantize

    def far(self: torch.Tensor, *bounds: float) -> torch.Tensor:
        self.fill_(1e6)
        self[0] = 0
        return self

    build = quantize.Codebook.__init__

    def collapsed(self: quantize.Codebook, codes: int, channels: int) -> None:
        build(self, codes, channels)
        with torch.no_grad():
            far(self.codes)

    monkeypatch.setattr(quantize.Codebook, "__init__", collapsed)
    train = {"epochs": 1, "batch": 24, "optimizer": {"name": "sgd", "lr": 1e-6}}
    facts = run(blobs.job(data, tmp_path, **(SPEC | {"losses": {"cross_entropy": {}}, "train": train})), blobs.quiet)
    assert facts["codes"] == {"top": 1, "bottom": 1, "of": 8}
    assert facts["notes"] == [f"the {level} codebook has collapsed to one code" for level in ("top", "bottom")]


def test_the_pool_is_drawn_anew_each_epoch(data: Path, pool: Path, tmp_path: Path) -> None:
    """By hand: the epoch's generator shuffles the slices, then draws a number a batch, then shuffles the pool."""
    from covidseg.train.loader import SliceLoader

    seen: list[np.ndarray] = []
    original = SliceLoader.batches

    def batches(self: SliceLoader, wanted: Any) -> Any:
        if len(wanted) == 3 and {len(rows) for rows in wanted} == {8}:
            seen.append(np.concatenate(wanted))
        return original(self, wanted)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SliceLoader, "batches", batches)
        job = a_job(data, pool, tmp_path, train=TRAIN | {"epochs": 3, "from_epoch": 2})
        run(job, blobs.quiet)
    random = job.random(2)
    labelled = random.permutation(24)
    random.integers(2**63, size=3)
    assert [rows.tolist() for rows in seen[-2:]] == [labelled.tolist(), random.permutation(36)[:24].tolist()]
