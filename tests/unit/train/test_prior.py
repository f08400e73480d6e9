"""The prior: another run's maps as the last channel, on hand-made slices and in small trainings on discs in noise."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch

from covidseg.base.errors import UserError
from covidseg.data import tensors
from covidseg.train import prior, run, stage
from covidseg.train.job import Job
from covidseg.train.loader import SliceLoader, Slices, compose
from covidseg.train.predict import load_model, predict
from tests.records import seal
from tests.unit.train import blobs

SHORT, LONGER = ({"epochs": epochs, "batch": 5, "optimizer": {"lr": 3e-3}} for epochs in (2, 12))
TWO = {"ggo": (1,), "consolidation": (2,)}


@pytest.mark.parametrize(
    ("mode", "channels"), [("slice", [1.0, 0.2]), ("slice+lung", [1.0, 0.0, 0.2]), ("masked", [0.0, 0.2])]
)
def test_the_prior_is_the_last_channel(mode: Any, channels: list[float]) -> None:
    image, lung, map_ = (torch.full((1, 1, 1), value, dtype=torch.uint8) for value in (255, 0, 51))
    assert compose(image, lung, mode, map_).flatten().tolist() == pytest.approx(channels)


def test_each_slice_gets_its_own_map(tmp_path: Path) -> None:
    zeros = np.zeros((4, 8, 8), np.uint8)
    maps = np.arange(4, dtype=np.uint8)[:, None, None] * 51 + zeros
    with h5py.File(tmp_path / "prior.h5", "w") as file:
        file["index"], file["prior"] = np.array([3, 1], np.int32), maps[[3, 1]]
    loaded = tensors.Tensors(zeros, zeros, zeros, {})
    loader = SliceLoader([Slices(loaded, {}, prior=prior.Maps(tmp_path / "prior.h5"))], "slice", torch.device("cpu"))
    ((x, _),) = loader.batches([np.array([1, 3, 1])])
    assert x.shape == (3, 2, 8, 8)
    assert x[:, 1, 4, 4].tolist() == pytest.approx([0.2, 0.6, 0.2])
    assert not x[:, 0].any()
    loader.hold()  # as a GPU does, with slices that the job's fold does not use: they have no map
    ((again, _),) = loader.batches([np.array([1, 3, 1])])
    assert torch.equal(x, again)


def test_what_lies_on_a_device_is_refreshed_in_its_targets_only() -> None:
    label, maps = np.zeros((2, 8, 8), np.uint8), np.full((2, 8, 8), 51, np.uint8)
    loaded = tensors.Tensors(label, label, label, {})
    loader = SliceLoader(
        [Slices(loaded, {"lesion": (1,)}, prior=lambda rows: maps[rows])], "slice", torch.device("cpu")
    )
    loader.hold()  # as a GPU does
    label[1] = 1
    loader.refresh(np.array([1]))
    ((x, target),) = loader.batches([np.array([0, 1])])
    assert target[:, 0, 0].tolist() == [0, 1]
    assert x[:, 1, 0, 0].tolist() == pytest.approx([0.2, 0.2])


# ---- two trainings


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return tensors of discs whose right halves have the label 2."""
    folder = blobs.make(tmp_path_factory.mktemp("blobs") / "data")
    label = np.load(folder / "label.npy")
    label[:, :, 16:] *= 2
    np.save(folder / "label.npy", label)
    return seal(folder)


@pytest.fixture(scope="module")
def twice(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the same slices with four pixels in the place of each."""
    folder = tmp_path_factory.mktemp("twice")
    for name in ("image", "lung", "label"):
        np.save(folder / f"{name}.npy", np.load(data / f"{name}.npy").repeat(2, 1).repeat(2, 2))
    for name in ("slices.csv", "split.csv"):
        (folder / name).write_bytes((data / name).read_bytes())
    return seal(folder)


@pytest.fixture(scope="module")
def guide(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Job:
    """Return the finished training of both halves as one class."""
    job = blobs.job(data, tmp_path_factory.mktemp("guide"), class_values={"lesion": (1, 2)}, train=LONGER)
    run(job, blobs.quiet)
    return job


def guided(data: Path, out: Path, guide: Job, train: Any = SHORT, shown: str = "predicted") -> Job:
    seen = {"size": 64, "mode": "slice", "prior": {"run": "guide", "train": shown}}
    keys: dict[str, Any] = {"classes": [*TWO], "input": seen, "losses": {"dice": {}}, "train": train}
    return replace(blobs.job(data, out, class_values=TWO, **keys), references={"prior": guide})


def maps(out: Path) -> np.ndarray:
    """Return the prior of all 36 slices, in the tensors' order."""
    with h5py.File(out / prior.FILE) as file:
        found: np.ndarray = file["prior"][()][np.argsort(file["index"][()])]
    return found


def test_a_network_is_guided_by_what_another_predicts(data: Path, twice: Path, guide: Job, tmp_path: Path) -> None:
    job = guided(twice, tmp_path, guide, LONGER)
    assert job.spec.stages == ["prior"]
    facts = stage(job, "prior", blobs.quiet)
    assert {key: facts[key] for key in ("passed", "predicted", "truth")} == {
        "passed": False, "predicted": 36, "truth": 0,
    }  # fmt: skip
    found = maps(tmp_path)
    with h5py.File(guide.out / "predictions.h5") as file:  # what the guide made of its six test slices, 32 x 32
        grown = np.stack([tensors.resize(map_, (64, 64)) for map_ in file["prob"][:, 0]])
    assert found.shape == (36, 64, 64)
    assert np.abs(found[30:].astype(int) - grown).max() <= 1
    run(job, blobs.quiet)
    with h5py.File(tmp_path / "predictions.h5") as file:
        prob = file["prob"][()]
    model, image = load_model(tmp_path, job.spec), np.load(twice / "image.npy")[30:]
    again = predict(model, image, None, job.spec, "cpu", found[30:])
    assert prob.shape == (6, 2, 64, 64)
    assert np.abs(again.astype(int) - prob).max() <= 1
    mirrored = predict(model, image, None, job.spec, "cpu", found[30:, :, ::-1])
    assert np.abs(mirrored.astype(int) - prob).max() > 20


def test_the_release_shows_the_truth_of_training_slices(twice: Path, guide: Job, tmp_path: Path) -> None:
    stage(guided(twice, tmp_path / "a", guide), "prior", blobs.quiet)
    facts = stage(guided(twice, tmp_path / "b", guide, shown="truth"), "prior", blobs.quiet)
    assert (facts["predicted"], facts["truth"]) == (12, 24)
    predicted, told = maps(tmp_path / "a"), maps(tmp_path / "b")
    np.testing.assert_array_equal(told[:24], 255 * (np.load(twice / "label.npy")[:24] > 0))
    assert np.abs(told[24:].astype(int) - predicted[24:]).max() <= 1  # validation and test


def test_the_guide_predicts_in_its_own_precision(twice: Path, guide: Job, tmp_path: Path) -> None:
    plain, rounded = guided(twice, tmp_path / "float32", guide), guided(twice, tmp_path / "bfloat16", guide)
    rounded = replace(rounded, spec=rounded.spec.model_copy(update={"precision": "bfloat16"}))
    for job in (plain, rounded):
        stage(job, "prior", blobs.quiet)
    np.testing.assert_array_equal(maps(plain.out), maps(rounded.out))


def test_a_missing_or_damaged_prior_and_one_of_other_slices_are_refused(
    data: Path, twice: Path, guide: Job, tmp_path: Path
) -> None:
    job = guided(twice, tmp_path / "job", guide)
    with pytest.raises(UserError, match=r"prior\.h5: missing; run covidseg repair"):
        run(job, blobs.quiet)
    stage(job, "prior", blobs.quiet)
    path = job.out / prior.FILE
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(UserError, match=r"prior\.h5: damaged .*; run covidseg repair"):
        run(job, blobs.quiet)
    other = blobs.make(tmp_path / "other")
    lines = (other / "slices.csv").read_text().replace("case5/005", "case5/006")
    (other / "slices.csv").write_text(lines)
    seal(other)
    with pytest.raises(UserError, match="other slices than in"):
        stage(guided(other, tmp_path / "job", guide), "prior", blobs.quiet)


def test_a_model_says_that_it_sees_a_prior(twice: Path, guide: Job, tmp_path: Path) -> None:
    job = guided(twice, tmp_path, guide)
    stage(job, "prior", blobs.quiet)
    run(job, blobs.quiet)
    bare = job.spec.model_copy(update={"input": job.spec.input.model_copy(update={"prior": None})})
    with pytest.raises(UserError, match=r"made by another network, input .*slice\+prior"):
        load_model(tmp_path, bare)
    assert "prior" not in json.loads(bare.model_dump_json())["input"]
