"""Volumes read slab by slab: the same voxels, masks and bytes as read whole."""

import gzip
from pathlib import Path

import numpy as np
import pytest

from covidseg.base.errors import UserError
from covidseg.data import canonical, slabs
from covidseg.data.importers import cases
from covidseg.data.importers.read import nifti, nifti_mask, relabel
from covidseg.lungs import threshold
from tests.unit.data.small import own, write_nifti

RNG = np.random.default_rng(0)
HU = RNG.integers(-1200, 300, (6, 5, 37)).astype(np.int16)
AFFINES = {
    "LPS": np.diag([-1.0, -1.0, 2.0, 1.0]),
    "RAS": np.diag([1.0, 1.0, 2.0, 1.0]),
    "LPI": np.diag([-1.0, -1.0, -2.0, 1.0]),
    "ASL": np.array([[0, 0, -1.0, 0], [1.0, 0, 0, 0], [0, 1.0, 0, 0], [0, 0, 0, 1]]),  # sagittal: not by slabs
}


@pytest.fixture(autouse=True)
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slabs, "LARGE", 1)


def scaled(path: Path, slope: float, inter: float) -> None:
    import struct

    data = bytearray(path.read_bytes())
    data[112:120] = struct.pack("<2f", slope, inter)
    path.write_bytes(data)


@pytest.mark.parametrize("codes", AFFINES)
@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_the_same_voxels_in_every_orientation(codes: str, name: str, tmp_path: Path) -> None:
    path = write_nifti(tmp_path / name, HU, AFFINES[codes])
    whole, read = nifti(path), nifti(path, by_slabs=True)
    assert isinstance(read.array, slabs.Slabs) == (codes != "ASL")
    assert read.axcodes == whole.axcodes == codes
    assert read.spacing == whole.spacing
    assert read.array.shape == whole.array.shape
    assert (read.array.min(), read.array.max()) == (whole.array.min(), whole.array.max())
    np.testing.assert_array_equal(np.asarray(read.array), whole.array)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32, ">i2"])
@pytest.mark.parametrize("scale", [(1.0, 0.0), (0.5, -1000.0), (2.0, 0.0)])
def test_the_same_values_of_every_type(dtype: str, scale: tuple[float, float], tmp_path: Path) -> None:
    path = write_nifti(tmp_path / "a.nii", (HU % 200).astype(dtype))
    scaled(path, *scale)
    whole, read = nifti(path), nifti(path, by_slabs=True)
    assert np.asarray(read.array).dtype == read.array.dtype == whole.array.dtype
    np.testing.assert_array_equal(np.asarray(read.array), whole.array)


def test_masks_are_checked_and_mapped_as_they_are_read(tmp_path: Path) -> None:
    image = nifti(write_nifti(tmp_path / "a.nii", HU), by_slabs=True)
    path = write_nifti(tmp_path / "m.nii.gz", (HU < -500).astype(np.float32) * 3)
    found = relabel(nifti_mask(path, image), {0: 0, 3: 1}, path)
    store = np.zeros(found.shape, np.uint8)
    for place, block in found.blocks():
        store[place] = block
    np.testing.assert_array_equal(store, relabel(nifti_mask(path, nifti(tmp_path / "a.nii")), {0: 0, 3: 1}, path))
    with pytest.raises(UserError, match=r"label values \[3\] are not in the map"):
        list(relabel(nifti_mask(path, image), {0: 0, 1: 1}, path).blocks())
    half = write_nifti(tmp_path / "h.nii", np.full(HU.shape, 0.5, np.float32))
    with pytest.raises(UserError, match="not whole numbers"):
        list(nifti_mask(half, image).blocks())


def test_damage_is_found_in_the_last_slab(tmp_path: Path) -> None:
    path = write_nifti(tmp_path / "a.nii.gz", HU)
    data = bytearray(path.read_bytes())
    data[-6] ^= 1  # the checksum
    path.write_bytes(data)
    with pytest.raises(UserError, match="corrupt or not NIfTI"):
        nifti(path, by_slabs=True)
    path.write_bytes(gzip.compress(gzip.decompress(write_nifti(tmp_path / "b.nii.gz", HU).read_bytes())[:-100]))
    with pytest.raises(UserError, match="names more voxels than the file holds"):
        nifti(path, by_slabs=True)
    bad = HU.astype(np.float32)
    bad[0, 0, 36] = np.nan
    with pytest.raises(UserError, match="NaN or infinite voxels"):
        nifti(write_nifti(tmp_path / "c.nii", bad), by_slabs=True)


def test_an_import_by_slabs_gives_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for k, codes in enumerate(("LPS", "LPI")):
        write_nifti(tmp_path / f"imagesTr/s{k}.nii.gz", HU, AFFINES[codes])
        write_nifti(tmp_path / f"labelsTr/s{k}.nii.gz", (HU < -500).astype(np.uint8), AFFINES[codes])
    (tmp_path / "dataset.json").write_text('{"labels": {"background": 0, "lesion": 1}}')
    data = own(window=[-1250, 250])
    canonical.write(cases(tmp_path, data), data, tmp_path / "slabs")
    monkeypatch.setattr(slabs, "LARGE", 1 << 40)
    canonical.write(cases(tmp_path, data), data, tmp_path / "whole")
    for case in ("s0", "s1"):
        with canonical.Store(tmp_path / "slabs") as one, canonical.Store(tmp_path / "whole") as other:
            np.testing.assert_array_equal(one.image(case), other.image(case))
            np.testing.assert_array_equal(one.label(case), other.label(case))
    assert (tmp_path / "slabs/slices.csv").read_bytes() == (tmp_path / "whole/slices.csv").read_bytes()


def chest() -> np.ndarray:
    """Return HU (37, 64, 64): two lungs and a trachea that touch from slab to slab, and bowel gas in the last slabs."""
    z, y, x = np.mgrid[0:37, 0:64, 0:64]
    hu = np.full(z.shape, -1000.0)
    hu[(y - 32) ** 2 / 900 + (x - 32) ** 2 / 700 < 1] = 40
    for middle in (20, 44):
        hu[((y - 32) ** 2 / 200 + (x - middle) ** 2 / 80 + (z - 18) ** 2 / 260) < 1] = -850
    hu[((y - 30) ** 2 + (x - 32) ** 2) < 8] = -1000
    hu[((y - 50) ** 2 + (x - 32) ** 2 + (z - 30) ** 2) < 20] = -990
    return hu + np.random.default_rng(1).normal(0, 20, hu.shape)


@pytest.mark.parametrize("kind", ["8-bit", "HU"])
def test_lungs_do_not_depend_on_the_slabs(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    hu = chest()
    image = np.rint((hu.clip(-1250, 250) + 1250) / 1500 * 255).astype(np.uint8) if kind == "8-bit" else hu
    found = {}
    for size in (64, 16, 5, 1):
        monkeypatch.setattr(threshold, "SLAB", size)
        found[size] = threshold.threshold(image, (5.0, 1.5, 1.5))
    assert found[64][18, 32, 20] == found[64][18, 32, 44] == 1
    assert found[64].any(axis=(1, 2)).sum() > 30
    for size in (16, 5, 1):
        np.testing.assert_array_equal(found[size], found[64])


def test_a_little_may_follow_the_voxels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its checksum is read behind it: an end that is too far away is refused, or a bomb would be read to its end."""
    monkeypatch.setattr(slabs, "MORE", 1000)
    voxels = gzip.decompress(write_nifti(tmp_path / "a.nii.gz", HU).read_bytes())
    for more in (1000, 1001):
        (tmp_path / f"{more}.nii.gz").write_bytes(gzip.compress(voxels + b"\0" * more))
    np.testing.assert_array_equal(np.asarray(nifti(tmp_path / "1000.nii.gz", by_slabs=True).array), np.asarray(
        nifti(tmp_path / "a.nii.gz").array))  # fmt: skip
    with pytest.raises(UserError, match="it goes on for more than 1000 bytes after its voxels"):
        nifti(tmp_path / "1001.nii.gz", by_slabs=True)
