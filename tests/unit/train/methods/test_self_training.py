"""Self-training: the rounds' bookkeeping on hand-made cases, pseudo labels, and a whole chain on discs in noise."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from torch import nn

from covidseg.base.errors import UserError
from covidseg.data import tensors
from covidseg.jobs import record
from covidseg.train import rounds, run, stage
from covidseg.train.job import Job
from covidseg.train.loader import SliceLoader, Slices
from covidseg.train.methods import self_training
from covidseg.train.pseudo import PseudoLabelled, pseudo_labels, write_labels
from tests.unit.train import blobs

CPU = torch.device("cpu")
NONE = np.zeros(0, np.int64)


def random() -> np.random.Generator:
    return np.random.default_rng(0)


# ---- which slices join


def test_a_fifth_of_the_pool_joins_each_round_until_all_have() -> None:
    pool, drawn, sizes = np.arange(100, 110), NONE, []
    for _ in range(6):
        before, drawn = drawn, rounds.draw(pool, drawn, 0.2, random())
        assert drawn[: len(before)].tolist() == before.tolist()  # what joined stays, in its place
        sizes.append(len(drawn))
    assert sizes == [2, 4, 6, 8, 10, 10]
    assert sorted(drawn.tolist()) == pool.tolist()  # each once


def test_the_last_part_is_what_is_left() -> None:
    pool = np.arange(7)
    first = rounds.draw(pool, NONE, 0.6, random())
    assert len(first) == 4  # 0.6 x 7 = 4.2
    assert sorted(rounds.draw(pool, first, 0.6, random()).tolist()) == pool.tolist()


def test_at_least_one_slice_joins_and_the_draw_follows_the_seed() -> None:
    pool = np.arange(50)
    assert len(rounds.draw(pool, NONE, 0.001, random())) == 1
    drawn = [rounds.draw(pool, NONE, 0.5, np.random.default_rng(seed)).tolist() for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2]


# ---- when it stops, what is kept


@pytest.mark.parametrize(
    ("val", "over", "kept"),
    [
        ([0.5], False, 0),
        ([0.5, 0.6], False, 1),
        ([0.5, 0.5], True, 0),  # no longer better: the first of equals is kept
        ([0.5, 0.6, 0.55], True, 1),
        ([None, None], False, 1),  # nothing to stop by: the last
    ],
)
def test_stop_and_keep(val: list[float | None], over: bool, kept: int) -> None:
    assert (rounds.stopped(val), rounds.best(val)) == (over, kept)


# ---- pseudo labels


def test_the_likeliest_class_above_trust_is_the_label() -> None:
    # ggo, consolidation: sure ggo; unsure ggo; sure consolidation; background; ggo as likely as background
    p = torch.tensor([[0.96, 0.60, 0.01, 0.10, 0.50], [0.02, 0.20, 0.97, 0.20, 0.00]])[None, :, None, :]
    assert pseudo_labels(p, 0.95).flatten().tolist() == [1, 0, 2, 0, 0]
    assert pseudo_labels(p, None).flatten().tolist() == [1, 1, 2, 0, 1]
    one = torch.tensor([0.96, 0.6, 0.4])[None, None, None, :]
    assert pseudo_labels(one, 0.95).flatten().tolist() == [1, 0, 0]
    assert pseudo_labels(one, None).flatten().tolist() == [1, 1, 0]


class Bright(nn.Module):
    """Sees lesion where the image is above one half: surely (p 0.99) above 0.8, else with p 0.73."""

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        image = x[:, :1]
        return {"logits": torch.where(image > 0.8, 4.6, torch.where(image > 0.5, 1.0, -4.6))}


def four_slices(label: int = 1) -> tensors.Tensors:
    """Return four 32x32 slices: 8 columns of 255 and, beside them, 8 of 153 (0.6); the label is the first 8."""
    image = np.zeros((4, 32, 32), np.uint8)
    image[:, :, :8], image[:, :, 8:16] = 255, 153
    truth = np.zeros_like(image)
    truth[:, :, :8] = label
    return tensors.Tensors(image, np.ones_like(image), truth, {"case": list("abcd")})


def test_labelling_counts_what_it_found(tmp_path: Path) -> None:
    loaded = four_slices(label=3)
    loader = SliceLoader([Slices(loaded, {}, lungs=False)], "slice", CPU)
    rows, known = np.array([2, 0, 3]), np.array([0, 1])
    found = write_labels(Bright(), loader, rows, 1, 0.95, known, (3,), tmp_path / "trusted.h5")
    assert found.pixels == [3 * 24 * 32, 3 * 8 * 32]
    assert found.untrusted == 0.5  # 8 of 16 columns
    assert (found.agreement, found.known) == (1.0, 1)  # of the three, only row 0 has a known truth
    found = write_labels(Bright(), loader, rows, 1, None, known, (3,), tmp_path / "all.h5")
    assert found.pixels == [3 * 16 * 32, 3 * 16 * 32]
    assert found.untrusted is None
    assert found.agreement == pytest.approx(2 * 8 / (8 + 16))
    with h5py.File(tmp_path / "all.h5") as file:
        assert file["index"][()].tolist() == [2, 0, 3]
        assert file["label"][0, 0].tolist() == [1] * 16 + [0] * 16


def test_a_feed_of_labelled_and_pseudo_labelled_slices(tmp_path: Path) -> None:
    loaded = four_slices()
    loaded.image[2] = 77
    loader = SliceLoader([Slices(loaded, {}, lungs=False)], "slice", CPU)
    write_labels(Bright(), loader, np.array([2, 0]), 1, None, NONE, (), tmp_path / "labels.h5")
    both = SliceLoader([Slices(loaded, {"lesion": (1,)}), PseudoLabelled(loaded, tmp_path / "labels.h5")], "slice", CPU)
    ((x, target),) = both.batches([np.array([5, 1, 4])])  # row 4 is the pool's row 2, row 5 its row 0
    assert [int(255 * v) for v in x[:, 0, 0, 10]] == [153, 153, 77]
    assert target.sum((1, 2)).tolist() == [16 * 32, 8 * 32, 0]


def test_damaged_labels_are_refused(tmp_path: Path) -> None:
    (tmp_path / "labels.h5").write_bytes(b"torn")
    with pytest.raises(UserError, match=r"labels\.h5: damaged .*; run covidseg repair"):
        PseudoLabelled(four_slices(), tmp_path / "labels.h5")


# ---- the chain


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return blobs.make(tmp_path_factory.mktemp("blobs") / "data")


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return blobs.make(tmp_path_factory.mktemp("pool") / "data")


def chain(job: Job) -> dict[str, Any]:
    """Do every stage and the last job, with records as ``covidseg stage`` writes them."""
    for name in job.spec.train.stages:
        facts = stage(job, name, blobs.quiet)
        record.write(self_training.folder(job.out, name) / "stage.json", spec_hash="", **facts)
    return run(job, blobs.quiet)


def self_trained(data: Path, unlabelled: Path, out: Path, **changes: Any) -> Job:
    settings = {
        "method": "self_training",
        "pool": {"dataset": "pool"},
        "rounds": 3,
        "take": 0.25,
        "epochs": 6,
        "batch": 5,
        "optimizer": {"lr": 3e-3},
    }
    job = blobs.job(data, out, train=settings | changes)
    return replace(job, pool=unlabelled, pool_values=(1,))


def test_rounds_grow_until_validation_stops_them(data: Path, pool: Path, tmp_path: Path) -> None:
    facts = chain(self_trained(data, pool, tmp_path / "a"))
    table = facts["rounds"]
    assert [line["pseudo"] for line in table] == [0, 9, 18, 27][: len(table)]  # a quarter of 36 each
    assert all(line["labelled"] == 24 for line in table)
    values = [line["val_dsc"] for line in table]
    assert values[:-1] == sorted(set(values[:-1]))  # each but the last was better than the one before
    assert facts["kept_round"] == values.index(max(values))
    assert facts["val_dsc"] == max(values)
    assert [line["kept"] for line in table].index(True) == facts["kept_round"]
    passed = [record.read(path)["passed"] for path in sorted((tmp_path / "a/stages").glob("round*/stage.json"))]
    assert passed == [False] * len(table) + [True] * (4 - len(table))
    best = self_training.folder(tmp_path / "a", f"round{facts['kept_round']}")
    assert (tmp_path / "a/model.safetensors").read_bytes() == (best / "model.safetensors").read_bytes()


def test_two_rounds_without_validation_the_same_each_time(
    data: Path, pool: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each round adds 9 of the pool's 36 slices; nothing stops them, the last is kept, and no state is left behind."""
    blobs.states_at_once(monkeypatch)
    facts = chain(replace(self_trained(data, pool, tmp_path, rounds=2, epochs=1), fold=1))
    assert facts["notes"] == [
        "no validation cases: the last epoch is kept",
        "no validation cases: nothing stops the rounds and the last is kept",
    ]
    assert (facts["kept_round"], facts["resumed"]) == (2, False)
    assert [(line["pseudo"], line["pool"]) for line in facts["rounds"]] == [(0, None), (9, 36), (18, 36)]
    assert all(0 < line["seconds"] < 60 for line in facts["rounds"])
    assert sum(line["seconds"] for line in facts["rounds"]) <= facts["seconds"] < 60
    labelled = [record.read(tmp_path / f"stages/labels{k}/stage.json") for k in (1, 2)]
    assert [(made["pseudo"], made["new"]) for made in labelled] == [(9, 9), (18, 9)]
    assert all(0 < made["seconds"] < 60 and made["slices_per_second"] > 0.1 for made in labelled)
    assert not list(tmp_path.rglob("resume.pt"))
    again = chain(replace(self_trained(data, pool, tmp_path / "again", rounds=2, epochs=1), fold=1))
    assert [line["agreement"] for line in again["rounds"]] == [line["agreement"] for line in facts["rounds"]]
    for name in ("model.safetensors", "predictions.h5"):
        assert (tmp_path / name).read_bytes() == (tmp_path / "again" / name).read_bytes()


def test_the_first_model_is_that_of_a_supervised_run(data: Path, pool: Path, tmp_path: Path) -> None:
    job = self_trained(data, pool, tmp_path / "rounds", rounds=1)
    plain = {
        key: value for key, value in job.spec.train.model_dump().items() if key in ("epochs", "batch", "optimizer")
    }
    first = run(blobs.job(data, tmp_path / "first", train=plain), blobs.quiet)
    record.write(tmp_path / "first/run.json", spec_hash="", run="p/first", **first)
    taken = chain(replace(job, out=tmp_path / "taken", references={"start": replace(job, out=tmp_path / "first")}))
    own = chain(job)
    assert (tmp_path / "taken/predictions.h5").read_bytes() == (tmp_path / "rounds/predictions.h5").read_bytes()
    assert taken["rounds"][0]["val_dsc"] == own["rounds"][0]["val_dsc"] == first["val_dsc"]


def test_what_cannot_be_a_pool_is_refused(data: Path, tmp_path: Path) -> None:
    job = self_trained(data, data, tmp_path / "own", epochs=1)  # its own data set has labels everywhere
    record.write(
        self_training.folder(job.out, "round0") / "stage.json", spec_hash="", **stage(job, "round0", blobs.quiet)
    )
    with pytest.raises(UserError, match=r"train\.pool: pool has no unlabelled slice; name another data set"):
        stage(job, "labels1", blobs.quiet)
    without = self_trained(data, data, tmp_path / "own", epochs=1, pool={"dataset": "pool", "without": ["case9"]})
    with pytest.raises(UserError, match=r"train\.pool\.without: no case 'case9'"):
        stage(without, "labels1", blobs.quiet)
    with pytest.raises(UserError, match=r"round0/stage\.json: missing"):
        stage(replace(job, out=tmp_path / "nothing"), "labels1", blobs.quiet)
