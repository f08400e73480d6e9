"""Reading folders of masks and maps; every kind of bad file gets one line that names it."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from covidseg.base.errors import UserError
from covidseg.base.images import list_maps, read_map, read_pairs


def png(path: Path, pixels, dtype=np.uint8) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.array(pixels, dtype)).save(path)
    return path


def nifti(path: Path, voxels, affine=None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(voxels, np.eye(4) if affine is None else affine), path)
    return path


def refuses(call, message: str) -> None:
    with pytest.raises(UserError, match=message) as e:
        call()
    assert "\n" not in str(e.value)


def pairs(folder: Path) -> list:
    return [(name, t.values.tolist(), p.values.tolist()) for name, _, t, p in read_pairs(folder / "t", folder / "p")]


def test_grey_of_every_kind(tmp_path: Path) -> None:
    expected = [[[0, 255]]]
    assert read_map(png(tmp_path / "8.png", [[0, 255]])).values.tolist() == expected
    assert read_map(png(tmp_path / "rgb.png", [[[0, 0, 0], [255, 255, 255]]])).values.tolist() == expected
    assert read_map(png(tmp_path / "rgba.png", [[[0, 0, 0, 255], [255, 255, 255, 255]]])).values.tolist() == expected
    Image.fromarray(np.array([[0, 255]], np.uint8)).convert("1").save(tmp_path / "1.png")
    assert read_map(tmp_path / "1.png").values.tolist() == expected


@pytest.mark.parametrize(
    ("top", "half", "dtype", "expected"),
    [
        (1, 0, np.uint8, [255, 0]),
        (255, 128, np.uint8, [255, 128]),
        (1, 0, np.uint16, [255, 0]),
        (255, 128, np.uint16, [255, 128]),
        (65535, 13107, np.uint16, [1.0, 0.2]),
    ],
)
def test_scales(top, half, dtype, expected, tmp_path: Path) -> None:
    png(tmp_path / "t/a.png", [[top, 0]], dtype)
    png(tmp_path / "p/a.png", [[top, half]], dtype)
    assert pairs(tmp_path) == [("a", [[[True, False]]], [[expected]])]


def test_masks_and_maps_of_every_scale(tmp_path: Path) -> None:
    png(tmp_path / "t/a.png", [[0, 1]])  # 0/1 masks
    png(tmp_path / "p/a.jpg", [[0, 0]])
    png(tmp_path / "t/b.png", [[1, 1]])
    png(tmp_path / "p/b.png", [[0, 200]])  # 0..255: so a.jpg is a map of the same scale
    assert pairs(tmp_path) == [("a", [[[False, True]]], [[[0, 0]]]), ("b", [[[True, True]]], [[[0, 200]]])]


def test_lesion_is_above_128(tmp_path: Path) -> None:
    png(tmp_path / "t/a.png", [[127, 128, 129, 255]])
    png(tmp_path / "p/a.png", [[0, 0, 0, 0]])
    assert pairs(tmp_path)[0][1] == [[[False, False, True, True]]]


def test_a_nearly_empty_map_is_no_mask(tmp_path: Path) -> None:
    for name in ("a", "b"):
        png(tmp_path / f"t/{name}.png", [[0, 255]])
    png(tmp_path / "p/a.png", [[0, 1]])
    png(tmp_path / "p/b.png", [[0, 250]])
    assert pairs(tmp_path)[0][2] == [[[0, 1]]]  # 1/255
    png(tmp_path / "p/b.png", [[0, 1]])
    assert pairs(tmp_path)[0][2] == [[[0, 255]]]  # a folder of 0/1 masks


def test_slices_run_along_the_body_wherever_the_file_keeps_them(tmp_path: Path) -> None:
    voxels = np.arange(24, dtype=np.int16).reshape(4, 3, 2)
    usual = read_map(nifti(tmp_path / "usual.nii", voxels, np.diag([0.5, 0.75, 5, 1])))
    assert (usual.values.shape, usual.spacing, usual.axes) == ((2, 3, 4), (5.0, 0.75, 0.5), "RAS")
    assert usual.values[1, 2, 3] == voxels[3, 2, 1]
    turned = np.array([[0, 0, 0.5, 0], [0.0, 0.75, 0, 0], [5, 0, 0, 0], [0, 0, 0, 1]])
    first = read_map(nifti(tmp_path / "first.nii", voxels, turned))
    assert (first.values.shape, first.spacing, first.axes) == ((4, 3, 2), (5.0, 0.75, 0.5), "SAR")


def test_missing_folders_files_and_names(tmp_path: Path) -> None:
    refuses(lambda: list_maps(tmp_path / "nowhere"), "nowhere: no such folder")
    (tmp_path / "t").mkdir()
    (tmp_path / "t/notes.txt").write_text("x")
    refuses(lambda: list_maps(tmp_path / "t"), r"t: no \.png, .* file in it")
    for name in "abcdefgh":
        png(tmp_path / f"t/{name}.png", [[0]])
    png(tmp_path / "p/a.png", [[0]])
    refuses(lambda: pairs(tmp_path), r"p: no prediction for 'b', 'c', 'd', 'e', 'f' and 2 more of .*t")
    for name in "abcdefghi":
        png(tmp_path / f"p/{name}.png", [[0]])
    refuses(lambda: pairs(tmp_path), r"t: no truth for 'i' of .*p")
    png(tmp_path / "t/i.png", [[0]])
    png(tmp_path / "t/i.jpg", [[0]])
    refuses(lambda: pairs(tmp_path), r"i\.png: i\.jpg has the same name")


def test_corrupt_images(tmp_path: Path) -> None:
    whole = png(tmp_path / "a.png", np.random.default_rng(0).integers(0, 256, (64, 64))).read_bytes()
    (tmp_path / "a.png").write_bytes(whole[: len(whole) // 2])
    refuses(lambda: read_map(tmp_path / "a.png"), r"a\.png: corrupt or not an image")
    (tmp_path / "b.png").write_bytes(b"not an image")
    refuses(lambda: read_map(tmp_path / "b.png"), r"b\.png: corrupt or not an image")
    refuses(lambda: read_map(png(tmp_path / "c.png", [[[0, 0, 0], [9, 0, 0]]])), r"c\.png: a colour image")


def test_corrupt_and_unfit_nifti(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).random((16, 16, 4)).astype(np.float32)
    whole = nifti(tmp_path / "a.nii.gz", noise).read_bytes()
    (tmp_path / "a.nii.gz").write_bytes(whole[: len(whole) // 2])
    refuses(lambda: read_map(tmp_path / "a.nii.gz"), r"a\.nii\.gz: corrupt NIfTI")
    (tmp_path / "b.nii").write_bytes(b"x" * 400)
    refuses(lambda: read_map(tmp_path / "b.nii"), r"b\.nii: corrupt NIfTI")
    four = nifti(tmp_path / "c.nii", np.zeros((2, 2, 2, 3), np.uint8))
    refuses(lambda: read_map(four), r"c\.nii: shape 2x2x2x3, type uint8; expected one 3-D volume")
    for value in (np.nan, np.inf):
        noise[3, 2, 1] = value
        refuses(lambda: read_map(nifti(tmp_path / "d.nii", noise)), r"d\.nii: NaN or infinite voxels")


def test_label_maps_and_strange_values(tmp_path: Path) -> None:
    png(tmp_path / "t/a.png", [[0, 1, 2]])
    png(tmp_path / "p/a.png", [[0, 0, 0]])
    refuses(lambda: pairs(tmp_path), r"t/a\.png: values 0 to 2; expected one class a folder")
    png(tmp_path / "t/a.png", [[0, 1, 1]])
    (tmp_path / "p/a.png").unlink()
    nifti(tmp_path / "p/a.nii", np.array([[[0], [3], [0]]], np.uint8))
    refuses(lambda: pairs(tmp_path), r"p: values up to 3 are labels; save one class a folder")
    for value in (-1, 999, 20.5):
        nifti(tmp_path / "p/a.nii", np.array([[[0], [value], [0]]], np.float32))
        refuses(
            lambda: pairs(tmp_path), r"p/a\.nii: values .*; expected 0/1 masks, 0\.\.255 maps or probabilities 0\.\.1"
        )
    nifti(tmp_path / "p/a.nii", np.array([[[0], [1.0000001], [0.5]]], np.float32))
    assert pairs(tmp_path)[0][2] == [[[0.0], [pytest.approx(1.0)], [0.5]]]


def test_a_volume_without_lesion_among_8_bit_maps(tmp_path: Path) -> None:
    for name, top in (("a", 3), ("b", 200)):
        nifti(tmp_path / f"t/{name}.nii", np.array([[[0], [1]]], np.uint8))
        nifti(tmp_path / f"p/{name}.nii", np.array([[[0], [top]]], np.uint8))
    assert [p for _, _, p in pairs(tmp_path)] == [[[[0], [3]]], [[[0], [200]]]]


def test_volumes_on_unlike_axes(tmp_path: Path) -> None:
    nifti(tmp_path / "t/a.nii", np.zeros((2, 2, 2), np.uint8))
    nifti(tmp_path / "p/a.nii", np.zeros((2, 2, 2), np.uint8), np.diag([-1.0, 1.0, 1.0, 1.0]))
    refuses(lambda: pairs(tmp_path), r"a\.nii: axes LAS, but .*a\.nii has RAS")
