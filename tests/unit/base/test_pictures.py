"""Pictures and compressed volumes are read to their ends, by one rule."""

import gzip
import io
import os

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from covidseg.base.errors import UserError
from covidseg.base.images import read_map
from covidseg.base.pictures import read_picture
from covidseg.data.importers.read import grey, nifti

GREY = np.arange(64, dtype=np.uint8).reshape(8, 8)


def refused(message, function, *arguments):
    with pytest.raises(UserError, match=message) as e:
        function(*arguments)
    assert "\n" not in str(e.value)


def test_a_flipped_bit_in_a_compressed_volume_is_refused(tmp_path):
    image = nib.Nifti1Image(
        np.random.default_rng(0).integers(0, 9, (9, 9, 9)).astype(np.int16), np.diag([1.5, 1.5, 5, 1])
    )
    data = bytearray(gzip.compress(image.to_bytes(), compresslevel=0))
    data[-100] ^= 1  # a voxel; the header is whole, and nibabel alone reads on
    path = tmp_path / "a.nii.gz"
    path.write_bytes(bytes(data))
    assert nib.load(path).get_fdata().shape == (9, 9, 9)
    for read in (nifti, read_map):
        refused("CRC check failed", read, path)
    path.write_bytes(gzip.compress(image.to_bytes() + bytes(40 << 20)))
    refused("it goes on for more than 16777216 bytes", nifti, path)


def test_a_png_is_read_to_its_end(tmp_path):
    whole = io.BytesIO()
    Image.fromarray(GREY).save(whole, "png")
    for at in range(8, len(whole.getvalue())):
        data = bytearray(whole.getvalue())
        data[at] ^= 4
        (tmp_path / "a.png").write_bytes(bytes(data))
        refused("corrupt or not an image", grey, tmp_path / "a.png")
    (tmp_path / "a.png").write_bytes(whole.getvalue()[:-5])
    refused("it is cut off", read_map, tmp_path / "a.png")


def test_one_rule_for_pictures(tmp_path):
    def made(image, **options):
        image.save(tmp_path / "a.png", **options)
        return tmp_path / "a.png"

    assert np.array_equal(grey(made(Image.fromarray(np.dstack([GREY] * 3)))), GREY)
    assert np.array_equal(grey(made(Image.fromarray(np.dstack([GREY, np.full_like(GREY, 255)])))), GREY)
    refused("a colour image", grey, made(Image.fromarray(np.dstack([GREY, GREY, GREY // 2]))))
    refused("transparent pixels", grey, made(Image.fromarray(np.dstack([GREY, GREY]))))
    refused(
        "several frames", grey, made(Image.fromarray(GREY), save_all=True, append_images=[Image.fromarray(GREY[::-1])])
    )
    assert np.unique(read_map(made(Image.fromarray(GREY > 9))).values).tolist() == [0, 255]
    assert np.unique(grey(made(Image.fromarray(GREY > 9)))).tolist() == [0, 255]
    palette = Image.fromarray((GREY > 9).astype(np.uint8))
    palette.putpalette([0, 0, 0, 200, 200, 200])
    assert np.unique(read_picture(made(palette))).tolist() == [0, 200]
    assert np.unique(grey(made(palette), palette=True)).tolist() == [0, 1]
    palette.putpalette([0, 0, 0, 128, 0, 0])
    refused("a colour image", read_map, made(palette))
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(GREY).save(tmp_path / "a.jpg", exif=exif)
    refused("its EXIF orientation turns it", read_map, tmp_path / "a.jpg")


@pytest.mark.parametrize("name", ["a.png", "a.nii", "a.nii.gz"])
def test_only_regular_files_are_opened(name, tmp_path):
    read = grey if name == "a.png" else nifti
    os.mkfifo(tmp_path / name)
    refused("not a regular file", read, tmp_path / name)
    (tmp_path / name).unlink()
    (tmp_path / name).symlink_to("/dev/zero")
    refused("not a regular file", read, tmp_path / name)
    (tmp_path / name).unlink()
    (tmp_path / name).symlink_to(tmp_path / name)
    refused("cannot be read: Too many levels of symbolic links", read, tmp_path / name)
