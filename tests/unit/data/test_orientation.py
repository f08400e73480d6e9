"""Orientation: the file's header decides, and the way back is exact."""

import itertools
import math

import numpy as np
import pytest

from covidseg.base.errors import UserError
from covidseg.data.importers.read import nifti
from covidseg.data.orientation import from_store, spacing_to_store, to_store
from tests.unit.data.small import write_nifti

# 2 slices x 3 rows x 4 columns in the store: slice 0 is the foot, row 0 the front, column 0 the patient's right
STORE = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
ALL = ["".join(c) for pairs in itertools.permutations(["LR", "PA", "SI"]) for c in itertools.product(*pairs)]
DIRECTION = {"R": (0, 1), "L": (0, -1), "A": (1, 1), "P": (1, -1), "S": (2, 1), "I": (2, -1)}
SIZE = {0: 0.7, 1: 0.8, 2: 5.0}  # mm along left-right, front-back, foot-head


def affine_of(axcodes: str) -> np.ndarray:
    affine = np.zeros((4, 4))
    affine[3, 3] = 1
    for axis, code in enumerate(axcodes):
        row, sign = DIRECTION[code]
        affine[row, axis] = sign * SIZE[row]
    return affine


@pytest.mark.parametrize("axcodes", ALL)
def test_every_orientation_gives_the_same_store_array(axcodes, tmp_path):
    path = write_nifti(tmp_path / "a.nii.gz", np.ascontiguousarray(from_store(STORE, axcodes)), affine_of(axcodes))
    volume = nifti(path)
    assert volume.axcodes == axcodes
    np.testing.assert_array_equal(volume.array, STORE)
    assert volume.spacing == pytest.approx((5.0, 0.8, 0.7))


def test_axes_by_hand():
    # a file whose x grows to the left, y to the back, z to the head holds the store's voxels as [x, y, z]
    file = np.zeros((4, 3, 2), int)
    file[3, 0, 1] = 9  # patient's left, front, head
    assert to_store(file, "LPS")[1, 0, 3] == 9
    assert to_store(file, "RAI")[0, 2, 0] == 9  # the opposite corner when every axis runs the other way


def test_axcodes_must_name_each_axis_once():
    with pytest.raises(UserError, match="expected one of each pair"):
        to_store(STORE, "LRS")


@pytest.mark.parametrize("size", [0.0, -1.0, math.inf, math.nan])
def test_a_size_that_is_none_is_unknown(size):
    dz, dy, dx = spacing_to_store((0.7, 0.8, size), ("L", "P", "S"))
    assert math.isnan(dz)
    assert (dy, dx) == (0.8, 0.7)
