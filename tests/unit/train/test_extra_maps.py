"""Maps that a method writes beside its predictions."""

from pathlib import Path

import h5py
import numpy as np
import torch
from torch import nn

from covidseg.data.tensors import Tensors
from covidseg.train.loader import SliceLoader, Slices
from covidseg.train.predict import write_predictions


class Half(nn.Module):
    """Logits of zero: everything has the probability 0.5."""

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"logits": 0 * x}


def test_further_maps_stand_beside_equal_predictions(tmp_path: Path) -> None:
    image = np.arange(3, dtype=np.uint8)[:, None, None] * 51 + np.zeros((3, 32, 32), np.uint8)
    loader = SliceLoader([Slices(Tensors(image, image, image, {}), {}, lungs=False)], "slice", torch.device("cpu"))
    rows = np.array([2, 0])
    write_predictions(Half(), loader, rows, ["lesion"], tmp_path / "plain.h5")
    write_predictions(Half(), loader, rows, ["lesion"], tmp_path / "more.h5", {"input": lambda x: x[:, 0]})
    with h5py.File(tmp_path / "plain.h5") as plain, h5py.File(tmp_path / "more.h5") as more:
        assert (sorted(plain), sorted(more)) == (["index", "prob"], ["index", "input", "prob"])
        assert np.array_equal(plain["prob"], more["prob"])
        assert (more["input"].shape, more["input"].dtype) == ((2, 32, 32), np.uint8)
        assert more["input"][:, 0, 0].tolist() == [102, 0]  # 2 x 51 of 255, in the order of the index
        assert more["index"][()].tolist() == [2, 0]
