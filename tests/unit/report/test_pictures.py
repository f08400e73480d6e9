"""Sheets of slices: what is written comes back, slice by slice and class by class."""

from pathlib import Path

import numpy as np

from covidseg.report import pictures


def test_five_slices_stand_in_three_columns() -> None:
    tiles = [np.full((2, 3), k + 1) for k in range(5)]
    whole = pictures.sheet(tiles)
    assert whole[::2, ::3].tolist() == [[1, 2, 3], [4, 5, 0]]
    assert [pictures.tile(whole, k, 5, (2, 3)).tolist() for k in range(5)] == [tile.tolist() for tile in tiles]


def test_masks_come_back_and_are_transparent_outside(tmp_path: Path) -> None:
    from PIL import Image

    planes = [[np.eye(4, dtype=bool), ~np.eye(4, dtype=bool)], [np.zeros((4, 4), bool), np.ones((4, 4), bool)]]
    pictures.write_masks(tmp_path / "a.png", planes)
    found = pictures.read_masks(tmp_path / "a.png")
    for plane, masks in enumerate(planes):
        for k, mask in enumerate(masks):
            assert np.array_equal(pictures.tile(found, k, 2, (4, 4), plane), mask)
    with Image.open(tmp_path / "a.png") as image:
        alpha = np.asarray(image.convert("RGBA"))[..., 3]
    assert np.array_equal(alpha > 0, found)


def test_an_outline_is_the_mask_without_its_inside() -> None:
    mask = np.zeros((5, 5), bool)
    mask[1:4, 1:4] = True
    found = pictures.outline(mask)
    assert found.sum() == 8
    assert not found[2, 2]
