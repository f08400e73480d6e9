"""Geometry of NIfTI headers: one grid or not, units, what is unknown; and the same reading as SimpleITK's."""

import struct

import nibabel as nib
import numpy as np
import pytest
import SimpleITK

from covidseg.base.errors import UserError
from covidseg.base.geometry import apart, grid_of
from covidseg.base.images import read_map, read_pairs
from covidseg.data.importers.read import nifti, nifti_mask

AFFINE = np.array([[-1.5, 0, 0, 40], [0, -1.5, 0, 60], [0, 0, 5.0, -20], [0, 0, 0, 1]])
VOXELS = np.arange(6 * 5 * 4, dtype=np.int16).reshape(6, 5, 4)


def saved(path, affine=AFFINE, array=VOXELS, unit="mm", **header):
    """Write a NIfTI file with some fields of its header as given."""
    image = nib.Nifti1Image(array, affine)
    image.header.set_xyzt_units(unit)
    nib.save(image, path)
    data = bytearray(path.read_bytes())
    places = {"pixdim": (80, "<3f"), "qform_code": (252, "<h"), "sform_code": (254, "<h")}
    for key, value in header.items():
        at, kind = places[key]
        struct.pack_into(kind, data, at, *(value if isinstance(value, tuple) else (value,)))
    path.write_bytes(bytes(data))
    return path


def refused(message, function, *arguments):
    with pytest.raises(UserError, match=message) as e:
        function(*arguments)
    assert "\n" not in str(e.value)


def test_a_mask_beside_its_image_is_refused(tmp_path):
    image = nifti(saved(tmp_path / "image.nii"))
    far, mask = AFFINE.copy(), (VOXELS > 9).astype(np.uint8)
    far[0, 3] += 100
    refused("mask.nii: not on its image's grid, the two lie 100 mm apart; resample", nifti_mask,
            saved(tmp_path / "mask.nii", far, mask), image)  # fmt: skip
    near = AFFINE.copy()
    near[0, 3] += 0.01  # headers round
    assert nifti_mask(saved(tmp_path / "near.nii", near, mask), image).sum() == mask.sum()
    flipped = AFFINE @ np.array([[-1, 0, 0, 5], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])  # stored the other way round
    assert np.array_equal(
        nifti_mask(saved(tmp_path / "flipped.nii", flipped, mask[::-1]), image),
        nifti_mask(saved(tmp_path / "same.nii", AFFINE, mask), image),
    )


def test_a_prediction_beside_its_truth_is_no_perfect_score(tmp_path):
    mask, far = (VOXELS > 9).astype(np.uint8), AFFINE.copy()
    far[2, 3] += 100
    for folder, affine in (("truth", AFFINE), ("same", AFFINE), ("far", far)):
        (tmp_path / folder).mkdir()
        saved(tmp_path / folder / "a.nii", affine, mask)
    assert len(list(read_pairs(tmp_path / "truth", tmp_path / "same"))) == 1
    refused(
        "far/a.nii: not on the grid of .*, the two lie 100 mm apart",
        lambda: list(read_pairs(tmp_path / "truth", tmp_path / "far")),
    )


@pytest.mark.parametrize("read", [nifti, read_map])
def test_headers_that_contradict_themselves(read, tmp_path):
    refused("pixdim says 15, the affine 1.5; correct the header", read, saved(tmp_path / "a.nii", pixdim=(15, 15, 50)))


@pytest.mark.parametrize(("unit", "factor"), [("mm", 1), ("unknown", 1), ("micron", 1000), ("meter", 0.001)])
def test_lengths_are_in_mm_whatever_the_unit(unit, factor, tmp_path):
    affine = AFFINE * factor
    affine[3, 3] = 1
    path = saved(tmp_path / "a.nii", affine, unit=unit)
    assert nifti(path).spacing == pytest.approx((5, 1.5, 1.5))
    assert read_map(path).spacing == pytest.approx((5, 1.5, 1.5))
    assert nifti(path).affine == pytest.approx(AFFINE)
    assert apart(grid_of(nib.load(path)), grid_of(nib.load(saved(tmp_path / "b.nii")))) is None


@pytest.mark.parametrize(("header", "note"), [
    ({"pixdim": (0, 0, 0)}, "voxel sizes are unknown (pixdim 0, 0, 0)"),
    ({"qform_code": 0, "sform_code": 0, "pixdim": (1, 1, 1)}, "voxel sizes are unknown (pixdim 1, 1, 1 and no"),
])  # fmt: skip
def test_unknown_stays_unknown_and_is_said(header, note, tmp_path):
    volume = nifti(saved(tmp_path / "a.nii", **header))
    assert np.isnan(volume.spacing).all()
    assert any(note in said for said in volume.notes)
    assert np.isnan(read_map(tmp_path / "a.nii").spacing).all()


def test_codes_of_0_give_no_orientation(tmp_path):
    volume = nifti(saved(tmp_path / "a.nii", qform_code=0, sform_code=0))
    assert volume.spacing == (5, 1.5, 1.5)
    assert volume.notes == ("its header gives no orientation (sform and qform codes are 0); it is read as stored",)
    assert read_map(tmp_path / "a.nii").axes == ""


@pytest.mark.parametrize("order", ["LPS", "RAS", "SAR", "PIR"])
def test_simpleitk_reads_the_same(order, tmp_path):
    to = nib.orientations.ornt_transform(nib.io_orientation(AFFINE), nib.orientations.axcodes2ornt(order))
    image = nib.Nifti1Image(VOXELS, AFFINE).as_reoriented(to)
    nib.save(image, tmp_path / "a.nii.gz")
    ours = nifti(tmp_path / "a.nii.gz")
    theirs = SimpleITK.DICOMOrient(SimpleITK.ReadImage(str(tmp_path / "a.nii.gz")), "LPS")
    assert np.array_equal(SimpleITK.GetArrayFromImage(theirs), ours.array)
    assert theirs.GetSpacing()[::-1] == pytest.approx(ours.spacing)
