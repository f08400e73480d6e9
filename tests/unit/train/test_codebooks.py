"""How many codes a network uses is counted with the network as it predicts, and counting changes nothing in it."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import torch

from covidseg import nets
from covidseg.data import tensors
from covidseg.train import codebooks
from covidseg.train.loader import SliceLoader, Slices
from tests.unit.train import blobs


def test_counting_codes_changes_nothing(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = nets.build({"name": "vqresnet", "width": 0.0625, "codes": 8}, 1, 1)
    before = copy.deepcopy(model.state_dict())
    loaded = tensors.load(blobs.make(tmp_path / "data"))
    loader, rows = SliceLoader([Slices(loaded, {"lesion": (1,)})], "slice", torch.device("cpu")), np.arange(12)
    found, notes = codebooks.usage(model.train(), loader, rows)
    assert found["codes"]["of"] == 8
    assert all(1 <= found["codes"][level] <= 8 for level in ("top", "bottom"))
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert (found, notes) == codebooks.usage(model.eval(), loader, rows)
