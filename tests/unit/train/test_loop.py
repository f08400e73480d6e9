"""The training loop, counted by hand: an epoch's batches, what the history says of them, a recreated optimizer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from covidseg import nets
from covidseg.data import tensors
from covidseg.train.loader import SliceLoader, Slices
from covidseg.train.loop import Loop
from covidseg.train.resume import Resume
from tests.unit.train import blobs

NET = {"name": "unet", "width": 0.0625}
LOSSES = {"losses": {"dice": {}}, "net": NET, "input": {"size": 32, "mode": "slice"}}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return blobs.make(tmp_path_factory.mktemp("blobs") / "data")


class Counting(Loop):
    """Learns nothing: the loss of a batch is the number that ``told`` makes of it; ``sizes`` are those of batches."""

    sizes: list[int]
    told: Any

    def _backward(self, x: Tensor, target: Tensor) -> dict[str, Tensor]:
        self.sizes.append(len(x))
        return {"dice": torch.tensor(float(self.told(x)))}


def counted(folder: Path, rows: int, told: Any = len, make: type[Loop] = Counting, **train: Any) -> Any:
    """Train on the first ``rows`` slices of a folder's tensors, without validation; return the loop."""
    torch.manual_seed(0)
    size = np.load(folder / "image.npy", mmap_mode="r").shape[1]
    job = blobs.job(folder, folder, train=train, **LOSSES | {"input": {"size": size, "mode": "slice"}})
    loader = SliceLoader([Slices(tensors.load(folder), job.class_values)], "slice", torch.device("cpu"))
    loop = make(job, nets.build(NET, 1, 1), loader, np.arange(rows), np.arange(0), Resume(folder / "none", ""))
    loop.sizes, loop.told = [], told  # type: ignore[attr-defined]
    loop.fit(blobs.quiet)
    return loop


@pytest.mark.parametrize(
    ("rows", "sizes"), [(11, [5, 6]), (12, [5, 5, 2]), (10, [5, 5]), (6, [6]), (1, [1])]
)  # a last batch of one slice joins the one before; there is none before a first one
def test_a_single_slice_is_no_batch_of_its_own(rows: int, sizes: list[int], data: Path) -> None:
    assert counted(data, rows, epochs=1, batch=5).sizes == sizes


def test_larger_slices_may_be_alone(tmp_path: Path) -> None:
    """Of 64 pixels the deepest map has four: their variance is known. At half the scale it is one again."""
    folder = blobs.make(tmp_path / "data", size=64)
    assert counted(folder, 11, epochs=1, batch=5).sizes == [5, 5, 1]
    assert counted(folder, 11, epochs=1, batch=5, scales=[1.0, 0.5]).sizes == [5, 5, 6, 6]


def test_an_epoch_of_few_slices_draws_them_anew(data: Path) -> None:
    assert counted(data, 12, epochs=2, batch=2, slices_per_epoch=4).sizes == [2, 2, 2, 2]


def test_the_history_has_the_mean_over_batches_and_scales(data: Path, tmp_path: Path) -> None:
    """The loss is the side of the slice: (32 + 64) / 2 = 48. Then it is the batch's size: (5 + 5 + 2) / 3 = 4."""
    sides = counted(data, 12, lambda x: x.shape[-1], epochs=1, batch=5, scales=[1.0, 2.0])
    sides.write_history(tmp_path / "history.csv")
    assert (tmp_path / "history.csv").read_text().splitlines() == ['"epoch","lr","dice","val_dsc"', "0,0.001,48.0,"]
    assert counted(data, 12, epochs=1, batch=5).history[0][2] == "4"


@pytest.mark.parametrize(("settings", "steps"), [({}, 6), ({"recreate": True}, 3)])
def test_an_optimizer_that_is_recreated_counts_from_each_epochs_start(
    settings: dict[str, Any], steps: int, data: Path
) -> None:
    """Two epochs of three steps."""
    loop = counted(data, 12, make=Loop, epochs=2, batch=4, optimizer={"lr": 1e-3, **settings})
    assert float(loop.optimizer.state["step"]) == steps
