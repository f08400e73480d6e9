"""Tensors: which slices, which window, which pixels."""

import numpy as np
import pytest

from covidseg.base.errors import UserError
from covidseg.data import canonical, tensors
from covidseg.data.canonical import Case
from covidseg.data.tensors import Window, crop_window
from covidseg.lungs import write_masks
from tests.unit.data.small import own


def lung_at(shape, top, left):
    lung = np.zeros(shape, np.uint8)
    lung[:, top : top + 2, left : left + 2] = 1
    return lung


def test_crop_goes_round_the_lungs_and_stays_inside():
    # a 2x2 lung at rows 10, 11 and columns 4, 5: centre (10.5, 4.5), a window of 6 starts 2.5 before it
    assert crop_window((3, 20, 12), lung_at((3, 20, 12), 10, 4), 6) == Window(8, 2, 6, 6)
    assert crop_window((3, 20, 12), lung_at((3, 20, 12), 0, 10), 6) == Window(0, 6, 6, 6)


def test_crop_without_lungs_and_of_small_slices():
    assert crop_window((1, 20, 12), None, 6) == Window(7, 3, 6, 6)
    assert crop_window((1, 6, 6), None, 6) == Window(0, 0, 6, 6)
    assert crop_window((1, 5, 4), None, None) == Window(0, 0, 5, 4)
    assert crop_window((1, 10, 4), None, 6) == Window(2, -1, 6, 6)  # narrower than the window: zeros on both sides


def test_a_window_beyond_the_image_is_zero_there():
    image = np.array([[1, 2], [3, 4]], np.uint8)
    assert Window(-1, 0, 3, 3).cut(image).tolist() == [[0, 0, 0], [1, 2, 0], [3, 4, 0]]


@pytest.fixture
def store(tmp_path):
    image = np.arange(3 * 4 * 4, dtype=np.uint8).reshape(3, 4, 4)
    label = np.zeros((3, 4, 4), np.uint8)
    label[1, 0, 0] = 1
    cases = [
        Case("a", "p", "train", image, label, np.ones_like(label), spacing=(5.0, 1.0, 1.0)),
        Case("b", "q", "unlabelled", image[:1], None, np.ones((1, 4, 4), np.uint8)),
    ]
    canonical.write(cases, own(), tmp_path / "canonical")
    return tmp_path


def test_slices_with_lesion_and_unlabelled_ones_are_kept(store):
    tensors.build(store / "canonical", own(keep="lesion"), 4, None, store / "t")
    loaded = tensors.load(store / "t")
    assert loaded.columns["slice"] == ["a/001", "b/000"]
    assert loaded.columns["index"] == [0, 1]
    assert loaded.columns["dz"][0] == 5.0
    assert loaded.image[0].tolist() == [[16, 17, 18, 19], [20, 21, 22, 23], [24, 25, 26, 27], [28, 29, 30, 31]]
    assert loaded.label[:].sum(axis=(1, 2)).tolist() == [1, 0]
    assert loaded.lung[:].min() == 1


def test_keep_names_what_a_slice_has_to_show(tmp_path):
    label = np.zeros((4, 4, 4), np.uint8)
    label[range(4), 0, 0] = (0, 1, 2, 3)
    keys = {"classes": {"x": 1, "y": 2, "z": 3}, "unions": {"xy": ["x", "y"]}}
    canonical.write([Case("a", "p", "train", label, label)], own(**keys), tmp_path / "canonical")
    for keep, positions in {"all": [0, 1, 2, 3], "lesion": [1, 2, 3], "xy": [1, 2], "z": [3]}.items():
        tensors.build(tmp_path / "canonical", own(keep=keep, **keys), 4, None, tmp_path / "t")
        assert tensors.load(tmp_path / "t").columns["position"] == positions


def test_resizing_and_lungs(store):
    write_masks(store / "canonical", store / "lungs.h5", "x", lambda image, spacing: (image >= 8).astype(np.uint8))
    tensors.build(store / "canonical", own(), 2, store / "lungs.h5", store / "t")
    loaded = tensors.load(store / "t")
    assert len(loaded) == 4
    assert loaded.lung[0].tolist() == [[0, 0], [1, 1]]
    assert loaded.columns["native_height"] == [4] * 4
    # antialiased bilinear to half the size weighs three pixels by 3/7 3/7 1/7; the slice is 4 * row + column:
    # its first row and column give 5/7, its last 16/7, so 4 * 5/7 + 5/7 = 3.6, 4 * 5/7 + 16/7 = 5.1, 9.9, 11.4
    assert loaded.image[0].tolist() == [[4, 5], [10, 11]]


def test_the_same_bytes(store):
    for folder in ("one", "two"):
        tensors.build(store / "canonical", own(), 4, None, store / folder)
    for file in ("image.npy", "lung.npy", "label.npy", "slices.csv"):
        assert (store / "one" / file).read_bytes() == (store / "two" / file).read_bytes()


def test_what_is_refused(store):
    with pytest.raises(UserError, match=r"import\.json: missing; run covidseg repair"):
        tensors.build(store / "none", own(), 4, None, store / "t")
    write_masks(store / "canonical", store / "lungs.h5", "none", None)
    with pytest.raises(UserError, match="no case 'a'"):
        tensors.build(store / "canonical", own(), 4, store / "lungs.h5", store / "t")
    tensors.build(store / "canonical", own(), 4, None, store / "t")
    (store / "t" / "label.npy").write_bytes(b"x")
    with pytest.raises(UserError, match=r"label\.npy: damaged \(not what was written\); run covidseg repair"):
        tensors.load(store / "t")
