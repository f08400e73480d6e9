"""Training and prediction in bfloat16: what is computed in it, what is not, and that it is said and counts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from covidseg.schema.base import Precision
from covidseg.train import device, run
from covidseg.train.predict import load_model, predict
from tests.unit.train import blobs

OUTPUTS = ("model.safetensors", "history.csv", "predictions.h5")


@pytest.fixture(autouse=True)
def float32_afterwards() -> Iterator[None]:
    yield
    device.prepare("cpu", 1)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return blobs.make(tmp_path_factory.mktemp("blobs") / "data")


@pytest.mark.parametrize(
    ("precision", "dtype"),
    [("auto", torch.float32), ("float32", torch.float32), ("bfloat16", torch.bfloat16)],
)
def test_convolutions_are_computed_in_the_precision_asked_for(precision: Precision, dtype: torch.dtype) -> None:
    device.prepare("cpu", 1, "bfloat16" if precision != "bfloat16" else "float32")  # an earlier job's
    where = device.prepare("cpu", 1, precision)
    layer = nn.Conv2d(1, 2, 3)
    with device.autocast(where):
        assert layer(torch.ones(1, 1, 8, 8)).dtype == dtype
    assert device.arithmetic(where) == (["bfloat16 autocast"] if precision == "bfloat16" else [])


def test_a_training_in_bfloat16_ends_near_that_in_float32(data: Path, tmp_path: Path) -> None:
    """Both learn the discs; weights stay float32, the record names the arithmetic, and maps differ by rounding."""
    facts, maps = {}, {}
    y, x = np.mgrid[:32, :32]
    image = np.full((1, 32, 32), 60, np.uint8)
    lung = ((y - 16) ** 2 + (x - 16) ** 2 < 180).astype(np.uint8)[None]
    image[0, 12:20, 12:20] = 130
    for precision in ("float32", "bfloat16"):
        job = blobs.job(data, tmp_path / precision, precision=precision)
        facts[precision] = run(job, blobs.quiet)
        model = load_model(job.out, job.spec)
        assert {p.dtype for p in model.parameters()} == {torch.float32}
        maps[precision] = predict(model, image, lung, job.spec, "cpu")
    same = load_model(tmp_path / "float32", blobs.job(data, tmp_path, precision="bfloat16").spec)
    rounded = predict(same, image, lung, blobs.job(data, tmp_path, precision="bfloat16").spec, "cpu")
    assert facts["float32"]["notes"] == []
    assert facts["bfloat16"]["notes"] == ["bfloat16 autocast"]
    assert abs(facts["bfloat16"]["val_dsc"] - facts["float32"]["val_dsc"]) < 0.05
    assert 0 < np.abs(rounded.astype(int) - maps["float32"]).max() <= 8  # of 255: computed otherwise, not another map


def test_a_killed_training_in_bfloat16_ends_in_the_same_bytes(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, cut = (blobs.job(data, tmp_path / name, precision="bfloat16") for name in ("whole", "cut"))
    run(whole, blobs.quiet)
    blobs.states_at_once(monkeypatch)

    def progress(done: float, total: float, text: str) -> None:
        if done > 2.5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(cut, progress)
    assert run(cut, blobs.quiet)["resumed"]
    for name in OUTPUTS:
        assert (cut.out / name).read_bytes() == (whole.out / name).read_bytes()
