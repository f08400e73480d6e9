"""Training on the label maps of another run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from covidseg.base.errors import UserError
from covidseg.data import tensors
from covidseg.train import Job, run
from covidseg.train.loader import rows_by_role
from covidseg.train.relabelled import Relabelled
from tests.unit.train import blobs


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return blobs.make(tmp_path_factory.mktemp("blobs") / "data")


def write(folder: Path, index: np.ndarray, labels: np.ndarray) -> Path:
    folder.mkdir(exist_ok=True)
    with h5py.File(folder / "labels.h5", "w") as file:
        file["index"], file["labels"] = index.astype(np.int32), labels
    return folder / "labels.h5"


def test_training_rows_have_the_labels_and_others_the_truth(data: Path, tmp_path: Path) -> None:
    loaded = tensors.load(data)
    train = rows_by_role(blobs.job(data, tmp_path), loaded)["train"]
    labels = np.full((len(train) + 1, 32, 32), 255, np.uint8)
    labels[:, 0, 0], labels[:, 0, 1] = 1, 0
    path = write(tmp_path, np.append(train, 35), labels)  # row 35 is of the test case: its truth stays
    slices = Relabelled(loaded, {"lesion": (1,)}, train, path)
    target = slices.target(np.array([3, 35]))
    assert target[0, 0, :3].tolist() == [1, 0, 255]
    np.testing.assert_array_equal(target[1], loaded.label[35])


def test_what_cannot_be_learned_is_refused(data: Path, tmp_path: Path) -> None:
    loaded, train = tensors.load(data), np.arange(24)
    values = {"lesion": (1,)}
    labels = np.zeros((24, 32, 32), np.uint8)
    with pytest.raises(UserError, match=r"labels\.h5: no labels of slice case3/005"):
        Relabelled(loaded, values, train, write(tmp_path, train[:23], labels[:23]))
    with pytest.raises(UserError, match=r"labels\.h5: labels of another size"):
        Relabelled(loaded, values, train, write(tmp_path, train, labels[:, :16]))
    labels[5, 3, 3] = 2
    slices = Relabelled(loaded, values, train, write(tmp_path, train, labels))
    with pytest.raises(UserError, match="a label above 1 that is not 255"):
        slices.target(np.array([5]))
    (tmp_path / "torn.h5").write_bytes(b"torn")
    with pytest.raises(UserError, match=r"torn\.h5: damaged .*; run covidseg repair"):
        Relabelled(loaded, values, train, tmp_path / "torn.h5")


def test_labels_that_are_the_truth_train_the_same_model(data: Path, tmp_path: Path) -> None:
    loaded = tensors.load(data)
    truth = blobs.job(data, tmp_path / "truth")
    rows = rows_by_role(truth, loaded)["train"]
    run(truth, blobs.quiet)

    def taught(name: str, labels: np.ndarray) -> bytes:
        maker = replace(truth, out=write(tmp_path / f"{name}-maker", rows, labels).parent)
        settings = {**blobs.SPEC["train"], "labels": {"run": "maker"}}
        job: Job = replace(blobs.job(data, tmp_path / name, train=settings), references={"labels": maker})
        run(job, blobs.quiet)
        return (tmp_path / name / "model.safetensors").read_bytes()

    same = np.asarray(loaded.label)[rows]
    assert taught("same", same) == (tmp_path / "truth/model.safetensors").read_bytes()
    assert taught("fewer", np.where(same > 0, 1, 255).astype(np.uint8)) != taught("other", 1 - same)
