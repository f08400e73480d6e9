"""The loader: what is held on a device, filled in parts, is what is read from disk."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from covidseg.data.tensors import Tensors
from covidseg.train import loader as loading
from covidseg.train.loader import SliceLoader, Slices
from covidseg.train.pseudo import Chosen, Soft

CPU = torch.device("cpu")
N, SIDE = 7, 4


def some(seed: int, high: int = 256, n: int = N) -> np.ndarray:
    return np.random.default_rng(seed).integers(high, size=(n, SIDE, SIDE), dtype=np.uint8)


LOADED = Tensors(some(0), some(1, 2), some(2, 3), {})
CLASSES = {"ggo": (1,), "con": (2,)}


@pytest.mark.parametrize(
    ("sources", "mode"),
    [
        ([Slices(LOADED, CLASSES)], "slice"),
        ([Slices(LOADED, CLASSES, prior=lambda rows: some(3)[rows])], "masked"),
        ([Slices(LOADED, CLASSES), Chosen(LOADED, np.array([6, 0]), some(4, 3, 2), lungs=False)], "slice+lung"),
        ([Slices(LOADED, {"lesion": (1, 2)}), Soft(LOADED, np.array([3, 5]), some(5, n=2))], "slice+lung"),
        ([Soft(LOADED, np.array([3, 5]), some(6, n=2)), Slices(LOADED, {"lung": ()}, lungs=False)], "slice+lung"),
    ],
    ids=["slice", "prior", "pseudo", "soft", "no lungs"],
)
def test_what_is_held_is_what_is_read(monkeypatch: pytest.MonkeyPatch, sources: list[Slices], mode: str) -> None:
    monkeypatch.setattr(loading, "PART", 3)
    loader = SliceLoader(sources, mode, CPU)  # type: ignore[arg-type]
    batches = [np.arange(len(loader))[::-1].copy(), np.array([1, 1])]
    read = list(loader.batches(batches))
    loader.hold()
    monkeypatch.setattr(SliceLoader, "_gather", None)  # nothing more is read
    for found, wanted in zip(loader.batches(batches), read, strict=True):
        for a, b in zip(found, wanted, strict=True):
            assert a.dtype == b.dtype
            torch.testing.assert_close(a, b, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("size", "device", "slices"),
    [(512, "cpu", 2), (128, "cpu", 32), (32, "cpu", 64), (1024, "cpu", 1), (512, "cuda", 32), (4096, "cuda", 1)],
)
def test_how_many_slices_are_predicted_at_once(size: int, device: str, slices: int) -> None:
    assert loading.evaluation_batch(size, torch.device(device)) == slices


def test_the_lung_class_is_where_no_other_class_is() -> None:
    """Label value 3 is no class; the lung mask is the truth of the class without values."""
    label, lung = (np.array([[[0, 3, 1, 7]]], np.uint8), np.array([[[0, 1, 1, 0]]], np.uint8))
    loaded, rows = Tensors(lung, lung, label, {}), np.array([0])
    assert Slices(loaded, {"lesion": (1, 7), "lung": ()}).target(rows).tolist() == [[[0, 2, 1, 1]]]
    assert Slices(loaded, {"lung": (), "lesion": (1, 7)}).target(rows).tolist() == [[[0, 1, 2, 2]]]
    assert Slices(loaded, {"lung": ()}).target(rows).tolist() == [[[0, 1, 1, 0]]]


def test_pixels_without_a_label_are_counted_for_no_class() -> None:
    label = np.array([[[0, 1, 2, 2]], [[255, 255, 1, 0]]], np.uint8)
    loaded = Tensors(label, label, label, {}, image_labels=True)
    counts = SliceLoader([Slices(loaded, CLASSES)], "slice", CPU).pixels(np.array([0, 1]), 2)
    assert counts == [2, 2]
