"""Labels from a classifier, labels from a random walk, and a training that learns them."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from covidseg.base.errors import UserError
from covidseg.data.tensors import resize
from covidseg.jobs import record
from covidseg.train import Job, pseudo, run
from covidseg.train.methods.cam import Cam
from covidseg.train.methods.supervised import Supervised
from covidseg.train.methods.walk import Walk
from tests.records import seal
from tests.unit.train import blobs

CAM: dict[str, Any] = {
    "input": {"size": 32, "mode": "slice"},
    "net": {"name": "classifier", "width": 0.125, "encoder": "resnet50", "init": "random"},
    "losses": {"cross_entropy": {}},
    "train": {"method": "cam", "epochs": 4, "batch": 6, "optimizer": {"lr": 3e-3}},
}
WALK: dict[str, Any] = CAM | {
    "net": {"name": "irn", "width": 0.125, "init": "random"},
    "losses": {"pixel_pairs": {"radius": 3}},
    "train": {"method": "walk", "maps_of": "cls", "epochs": 2, "batch": 6, "steps": 8, "optimizer": {"lr": 3e-3}},
}
KILLING = """\
import json, sys
from tests.unit.train import blobs
from covidseg.train.loop import Loop
blobs.Loop = Loop
blobs.SPEC.update(json.loads(sys.argv[1]))
blobs.main(*sys.argv[2:])
"""


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "run.json"}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return tensors of slices, every second without lesion."""
    folder = blobs.make(tmp_path_factory.mktemp("weak") / "data")
    label, image, lung = (np.load(folder / f"{name}.npy") for name in ("label", "image", "lung"))
    healthy = np.arange(len(label)) % 2 == 1
    image[healthy] = np.where(label[healthy] > 0, np.roll(image, 7, 2)[healthy], image[healthy])
    image[healthy] = np.where(label[healthy] > 0, image[lung > 0].min() + 20, image[healthy])
    label[healthy] = 0
    np.save(folder / "label.npy", label)
    np.save(folder / "image.npy", image)
    seal(folder)
    return folder


def finish(job: Job, name: str) -> tuple[Job, dict[str, Any]]:
    """Run a job and write its record, as the step does."""
    facts = run(job, blobs.quiet)
    record.write(job.out / "run.json", run=name, spec_hash="", **facts)
    return job, facts


def enlarged(maps_NHW: Any) -> np.ndarray:
    """Return maps of a file at the size of the slices."""
    return np.stack([resize(one, (32, 32)) for one in maps_NHW[()]])


@pytest.fixture(scope="module")
def classified(data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Job, dict[str, Any]]:
    return finish(blobs.job(data, tmp_path_factory.mktemp("cls"), **CAM), "cls")


def test_what_a_classifier_leaves(classified: tuple[Job, dict[str, Any]], data: Path) -> None:
    job, facts = classified
    assert sorted(contents(job.out)) == ["history.csv", "labels.h5", "maps.h5", "model.safetensors", "predictions.h5"]
    assert facts["slices"] == {"train": 24, "val": 6, "test": 6}
    assert facts["image_labels"] == {"train": 12, "val": 3, "test": 3}
    assert facts["accuracy"] >= 0.5
    with h5py.File(job.out / "maps.h5") as maps:
        assert maps["index"].shape == (36,)
        assert {key: maps[key].shape for key in ("average", "max", "last")} == dict.fromkeys(
            ("average", "max", "last"), (36, 4, 4)
        )
        assert json.loads(maps.attrs["epochs"]) == [1, 2, 4]
        assert maps["epochs"].shape == (36, 3, 4, 4)
        assert (maps["max"][()] >= maps["average"][()]).all()
        assert not maps["average"][1:24:2].any()  # training slices without lesion have no attention
        assert maps["average"][0:24:2].any()
    with h5py.File(job.out / "labels.h5") as labels:
        assert labels["index"][()].tolist() == list(range(24))
        found = labels["labels"][()]
    assert not found[1::2].any()
    assert set(np.unique(found[::2]).tolist()) <= {0, 1, 255}
    lung = np.load(data / "lung.npy")[:24:2]
    assert (found[::2][lung == 0] != 255).all()  # where nothing is salient, all is known
    counted = {"background": 0, "lesion": 1, "without": 255}
    assert facts["labels"]["pixels"] == {name: int((found == value).sum()) for name, value in counted.items()}
    with h5py.File(job.out / "predictions.h5") as predictions:
        assert predictions["index"][()].tolist() == list(range(30, 36))
        assert predictions["prob"].shape == (6, 1, 32, 32)


def test_what_is_said_of_labels_and_maps_by_hand(classified: tuple[Job, dict[str, Any]], data: Path) -> None:
    """Dice with the truth over the 12 training slices with lesion, and how many of all slices were found."""
    job, facts = classified
    truth = np.load(data / "label.npy")[:24:2] == 1
    with h5py.File(job.out / "maps.h5") as maps, h5py.File(job.out / "labels.h5") as labels:
        assert facts["found"] == int(maps["max"][()].any((1, 2)).sum())
        lesions = {name: enlarged(maps[name])[:24:2] >= 76 for name in ("average", "max", "last")}
        lesions["labels"] = labels["labels"][()][::2] == 1
    dice = {}
    for name, lesion in lesions.items():
        both = truth.sum((1, 2)) + lesion.sum((1, 2))
        dice[name] = round(float((2 * (truth & lesion).sum((1, 2)) / both).mean()), 4)
    assert 0 < dice["labels"] < 1
    assert facts["labels"]["dice"] == dice.pop("labels")
    assert facts["labels"]["dice_of_maps"] == dice


def test_a_slice_that_is_found_once_is_found(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In one epoch, from any probability on: the 12 training slices with lesion, and all of validation and test."""
    blobs.states_at_once(monkeypatch)
    train = CAM["train"] | {"epochs": 1, "found": 1e-6}
    assert run(blobs.job(data, tmp_path, **(CAM | {"train": train})), blobs.quiet)["found"] == 24
    assert not (tmp_path / "resume.pt").exists()


def test_the_first_epoch_that_counts_is_one_of_the_training() -> None:
    assert Cam.model_validate({"method": "cam", "epochs": 4, "from_epoch": 4}).from_epoch == 4
    with pytest.raises(ValueError, match=r"must not be above train\.epochs, 4, or no map counts"):
        Cam.model_validate({"method": "cam", "epochs": 4, "from_epoch": 5})


def test_a_walks_settings_are_those_of_irn_where_none_are_given() -> None:
    walk = Walk.model_validate({"method": "walk", "maps_of": "p/cls"})
    assert (walk.radius, walk.beta, walk.steps, walk.sure, walk.foreground) == (5, 10, 256, (0.05, 0.3), 0.25)
    assert walk.leaves_unlabelled is True
    with pytest.raises(ValueError, match=r"foreground\s+Input should be less than 1"):
        Walk.model_validate({"method": "walk", "maps_of": "p/cls", "foreground": 1})


def test_labels_of_another_run_may_leave_pixels_without_one() -> None:
    assert Supervised.model_validate({"labels": {"run": "p/cls"}}).leaves_unlabelled
    assert Supervised().leaves_unlabelled is False


def test_a_killed_classifier_ends_in_the_same_bytes(
    data: Path, tmp_path: Path, classified: tuple[Job, dict[str, Any]]
) -> None:
    points = ["batch:2", "resume.pt:3", "batch:7", "maps.h5:1", "labels.h5:1", "predictions.h5:1"]
    command = [sys.executable, "-c", KILLING, json.dumps(CAM), str(data), str(tmp_path), *points]
    subprocess.run(command, check=True)
    facts = run(blobs.job(data, tmp_path, **CAM), blobs.quiet)
    assert facts["resumed"]
    assert contents(tmp_path) == contents(classified[0].out)


def test_other_labels_from_the_same_maps(data: Path, tmp_path: Path, classified: tuple[Job, dict[str, Any]]) -> None:
    first = classified[0]
    changed = CAM | {"train": CAM["train"] | {"fusion": "max", "foreground": 0.9, "start": "cls"}}
    job = replace(blobs.job(data, tmp_path, **changed), references={"start": first})
    facts = run(job, blobs.quiet)
    ours, theirs = contents(tmp_path), contents(first.out)
    same = {name for name in ours if ours[name] == theirs[name]}
    assert same == {"history.csv", "maps.h5", "model.safetensors"}
    assert facts["taken_from"] == "cls"
    assert facts["labels"]["fusion"] == "max"
    assert facts["labels"]["pixels"]["lesion"] < classified[1]["labels"]["pixels"]["lesion"]


def test_maps_walk_and_their_labels_are_learned(
    data: Path, tmp_path: Path, classified: tuple[Job, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    taught: list[np.ndarray] = []

    class Kept(pseudo.Chosen):
        def __init__(self, loaded: Any, rows: Any, labels: np.ndarray) -> None:
            super().__init__(loaded, rows, labels)
            taught.append(labels)

    monkeypatch.setattr(pseudo, "Chosen", Kept)
    with h5py.File(classified[0].out / "maps.h5") as maps:
        attention = enlarged(maps["average"])[:24]
    low = int(attention[attention > 12].min())  # a value that occurs
    settings = WALK | {"train": WALK["train"] | {"sure": (low / 255, 0.3)}}
    walked = replace(blobs.job(data, tmp_path / "walk", **settings), references={"maps": classified[0]})
    walked, facts = finish(walked, "walk")
    wanted = np.full(attention.shape, 255)
    wanted[attention <= low] = 0
    wanted[attention >= 76] = 1  # 0.3 of 255
    wanted[1::2] = 0  # without lesion
    assert np.array_equal(taught[0], wanted)
    assert set(np.unique(wanted)) == {0, 1, 255}
    assert 0 < facts["seconds"] < 60
    with h5py.File(walked.out / "maps.h5") as maps:
        assert maps["average"].shape == (36, 8, 8)
        assert not maps["average"][1:24:2].any()
        lesion = enlarged(maps["average"])[:24:2] >= 64  # a quarter of 255
    with h5py.File(walked.out / "labels.h5") as labels:
        assert np.array_equal(labels["labels"][()][::2], lesion)
    assert 0 < int(lesion.sum()) == facts["labels"]["pixels"]["lesion"]
    assert facts["labels"]["pixels"]["without"] == 0
    learned = {
        "net": {"name": "unet", "width": 0.0625},
        "losses": {"tversky": {}},
        "input": CAM["input"],
        "train": {"epochs": 1, "batch": 6, "labels": {"run": "walk"}},
    }
    job = replace(blobs.job(data, tmp_path / "net", **learned), references={"labels": walked})
    assert run(job, blobs.quiet)["slices"]["train"] == 24


@pytest.mark.parametrize(("value", "words"), [(0, "are without lesion"), (1, "show lesion")])
def test_labels_of_one_kind_are_refused(value: int, words: str, data: Path, tmp_path: Path) -> None:
    own = tmp_path / "data"
    own.mkdir()
    for path in data.iterdir():
        (own / path.name).write_bytes(path.read_bytes())
    np.save(own / "label.npy", np.full_like(np.load(data / "label.npy"), value))
    seal(own)
    with pytest.raises(UserError, match=f"all 24 training slices of fold 0 {words}; a classifier also needs slices"):
        run(blobs.job(own, tmp_path / "out", **CAM), blobs.quiet)


def test_maps_of_another_split_are_refused(data: Path, tmp_path: Path, classified: tuple[Job, dict[str, Any]]) -> None:
    job = replace(blobs.job(data, tmp_path, fold=1, **WALK), references={"maps": classified[0]})
    with pytest.raises(
        UserError, match=r"maps\.h5: damaged \(maps of other slices than this fold's\); run covidseg repair"
    ):
        run(job, blobs.quiet)
