"""Masks of whole scans: the grid, the voxels and the volumes, by pencil."""

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from covidseg.data.anatomy import is_lesion, is_lung
from covidseg.data.orientation import to_store
from covidseg.data.tensors import Window
from covidseg.inference.done import Done
from covidseg.inference.masks import _blind, write_mask
from covidseg.inference.outputs import labelled, write_volume
from covidseg.inference.scan import enlarged, volumes
from covidseg.metrics.overlap import label_map
from covidseg.plan import Plan

UNKNOWN = (float("nan"),) * 3


def test_volumes_by_pencil():
    found, lung = np.zeros((2, 4, 5), np.uint8), np.zeros((2, 4, 5), np.uint8)
    found[0, 0, :3] = 1  # three voxels of class 1 and one of class 2
    found[1, 1, 1] = 2
    lung[:, :, :2] = 1  # 2 x 4 x 2 = 16 voxels; of the four of lesion, columns 0 and 1 of the first row and (1, 1, 1)
    truth = np.zeros_like(found)
    truth[0, 0, :5] = 1
    # a voxel of 5 x 2 x 10 mm is 0.1 ml
    assert volumes(found, lung, truth, (5.0, 2.0, 10.0), ["ggo", "consolidation"]) == {
        "ml_ggo": 0.3,
        "ml_consolidation": 0.1,
        "lesion_ml": 0.4,
        "true_lesion_ml": 0.5,
        "lung_ml": 1.6,
        "lesion_in_lung_percent": 18.75,  # 3 of 16
        "empty_because": "",
    }


@pytest.mark.parametrize(
    ("lung", "spacing", "why"),
    [
        (np.ones((1, 2, 2), np.uint8), UNKNOWN, "spacing unknown"),
        (None, (1.0, 1.0, 1.0), "no lung masks"),
        (np.zeros((1, 2, 2), np.uint8), (1.0, 1.0, 1.0), "no lung found"),
        (None, UNKNOWN, "spacing unknown; no lung masks"),
    ],
)
def test_what_cannot_be_known_is_empty_and_says_why(lung, spacing, why):
    row = volumes(np.ones((1, 2, 2), np.uint8), lung, None, spacing, ["infection"])
    assert row["empty_because"] == why
    assert row["lesion_in_lung_percent"] is None
    assert row["lesion_ml"] == (None if "spacing" in why else 0.004)  # four voxels of 1 mm³
    assert row["true_lesion_ml"] is None


def test_lung_is_no_lesion():
    row = volumes(np.array([[[1, 2]]], np.uint8), None, None, (10.0, 10.0, 10.0), ["lung", "infection"])
    assert (row["ml_lung"], row["ml_infection"], row["lesion_ml"]) == (1.0, 1.0, 1.0)


def test_where_no_class_is_a_lesion_nothing_is_said_of_lesions():
    found, truth = np.array([[[1, 2]]], np.uint8), np.array([[[1, 1]]], np.uint8)
    assert volumes(found, None, truth, (10.0, 10.0, 10.0), ["left lung", "right lung"]) == {
        "ml_left lung": 1.0,
        "ml_right lung": 1.0,
        "true_ml_left lung": 2.0,
        "true_ml_right lung": 0.0,
        "empty_because": "",
    }


def test_which_labels_are_lesions():
    body = ("lung", "Lungs", "left_lung", "LeftLung", "lung_upper_lobe_right", "trachea", "heart")
    assert [name for name in body if is_lesion(name)] == []
    lesions = ("infection", "lung_nodule", "lung tumor", "label1", "3", "LungOpacity", "pleural effusion")
    assert [name for name in lesions if not is_lesion(name)] == []
    assert [name for name in (*body, *lesions) if is_lung(name)] == list(body[:5])


@pytest.mark.parametrize("axcodes", ["LPS", "RAS", "RIP", "SAL"])
def test_a_mask_lies_where_its_scan_lies(axcodes, tmp_path):
    shape, zooms = (4, 5, 3), (1.5, 0.75, 5.0)
    directions = {"L": (0, -1), "R": (0, 1), "P": (1, -1), "A": (1, 1), "I": (2, -1), "S": (2, 1)}
    affine = np.eye(4)
    affine[:3] = 0
    for axis, code in enumerate(axcodes):
        row, sign = directions[code]
        affine[row, axis] = sign * zooms[axis]
    affine[:3, 3] = (-30.5, 12, 7)
    theirs = np.zeros(shape, np.uint8)
    theirs[1, 4, 2] = 1  # a single voxel of the scan's own grid
    write_volume(tmp_path / "a.nii.gz", to_store(theirs, axcodes), affine, axcodes)
    mask = nib.load(tmp_path / "a.nii.gz")
    assert mask.shape == shape
    assert "".join(nib.aff2axcodes(mask.affine)) == axcodes
    assert np.array_equal(mask.affine, affine)
    assert mask.get_data_dtype() == np.uint8
    assert np.argwhere(np.asarray(mask.dataobj)).tolist() == [[1, 4, 2]]


def test_a_mask_with_a_grid_is_one_volume(tmp_path):
    mask = np.zeros((3, 4, 5), np.uint8)
    assert write_mask(tmp_path, "a", mask, {"affine": np.eye(4), "axcodes": "LPS"}) == [tmp_path / "a.nii.gz"]
    assert nib.load(tmp_path / "a.nii.gz").shape == (5, 4, 3)


def test_only_trainings_that_did_not_see_a_case_predict_it():
    plan = Plan.load({})
    run = plan.run("ssanet/m1")
    table = plan.catalogue.split(run.spec.split).table
    trained = {k: {*table[k]["train"], *table[k]["val"]} for k in (0, 1)}
    for case in sorted(trained[0] | trained[1]):
        assert [fold for fold, _ in _blind(plan, run, case)] == [k for k in (0, 1) if case not in trained[k]]
    assert _blind(plan, run, "a new scan") == [(0, 0), (1, 0)]


def test_slices_without_a_grid_become_png(tmp_path):
    found = np.array([[[0, 1], [2, 0]]], np.uint8)
    (path,) = write_mask(tmp_path, "a", labelled(found, [7, 9]), {})
    assert path == tmp_path / "a.png"
    assert np.asarray(Image.open(path)).tolist() == [[0, 7], [9, 0]]
    assert [p.name for p in write_mask(tmp_path, "b", np.concatenate([found, found]), {})] == [
        "b-000.png",
        "b-001.png",
    ]


def test_maps_go_back_into_their_window():
    maps = np.array([[[0, 128], [127, 255]]], np.uint8)  # one class: 128 of 255 is the first above a half
    window = Window(1, -1, 2, 2)  # its left column lies outside the slice
    assert window.paste(label_map(enlarged(maps, window)), (3, 2)).tolist() == [[0, 0], [1, 0], [1, 0]]
    assert window.paste(window.cut(np.arange(6, dtype=np.uint8).reshape(3, 2)), (3, 2)).tolist() == [
        [0, 0],
        [2, 0],
        [4, 0],
    ]


def test_a_killed_run_keeps_what_it_finished(tmp_path):
    (tmp_path / "a.png").write_bytes(b"mask")
    sha = "c20e6ca5f2d1a1d4aab0ed5e1a4ad6a9"
    done = Done(tmp_path / "done.jsonl", "models")
    done.add({"case": "gone", "files": {"b.png": sha}})
    done.add({"case": "a", "files": {}})
    with open(tmp_path / "done.jsonl", "a") as f:
        f.write('{"case": "cut o')
    assert list(Done(tmp_path / "done.jsonl", "models").rows) == ["a"]
    assert list(Done(tmp_path / "done.jsonl", "other models").rows) == []
    assert (tmp_path / "done.jsonl").read_text() == "other models\n"


def test_a_line_that_was_cut_off_or_changed_is_left_out_and_spoils_no_other(tmp_path):
    path = tmp_path / "done.jsonl"
    done = Done(path, "models")
    done.add({"case": "a", "ml": 1.5, "files": {}})
    done.add({"case": "b", "ml": 2.5, "files": {}})
    path.write_bytes(path.read_bytes().replace(b"1.5", b"7.5")[:-9] + b"\xff")  # a was edited, b cut off and torn
    again = Done(path, "models")
    assert list(again.rows) == []
    again.add({"case": "c", "ml": 3.5, "files": {}})
    assert list(again.stored()) == [{"case": "c", "ml": 3.5, "files": {}}]
    assert list(Done(path, "models").rows) == ["c"]
