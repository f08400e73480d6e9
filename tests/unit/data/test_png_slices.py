"""zenodo20-slices and its halves, of pictures of two rows and six columns."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from covidseg.base.errors import UserError
from covidseg.data import importers
from covidseg.data.canonical import Case
from tests.unit.data.small import dataset

VOLUMES = {
    "corona": "coronacases_001",
    "upside": "radiopaedia_10_85902_3",
    "head": "radiopaedia_7_85703_0",
    "merged": "radiopaedia_29_86490_1|29_86491_1",
}


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    """Write two slices of each volume, the second one first; rows begin with 10 and 20, in the second with 110 and 120.

    The lung is columns 0, 1, 4 and 5, lesions are the first row's columns 4 and 5, in the first slice only.
    """
    lines = ["file,volume_inferred,order_in_volume"]
    lung, lesion = np.zeros((2, 6), np.uint8), np.zeros((2, 6), np.uint8)
    lung[:, [0, 1, 4, 5]] = 255
    lesion[0, 4:] = 255
    for folder in ("ct", "covid", "lungs"):
        (tmp_path / folder).mkdir()
    for name, volume in VOLUMES.items():
        for order in (1, 0):
            file = f"{name}{order}.png"
            lines.append(f"{file},{volume},{order}")
            picture = np.array([[10], [20]], np.uint8) + np.arange(6, dtype=np.uint8) + 100 * order
            masks = (("ct", picture), ("covid", lesion * (order == 0)), ("lungs", lung))
            for folder, array in masks:
                Image.fromarray(array.astype(np.uint8)).save(tmp_path / folder / file)
    (tmp_path / "manifest_inferred.csv").write_text("\n".join(lines) + "\n")
    return tmp_path


def read(raw: Path, name: str) -> dict[str, Case]:
    return {case.name: case for case in importers.cases(raw, dataset(name))}


def test_slices_stand_upright_and_run_from_the_foot(raw: Path) -> None:
    found = read(raw, "zenodo20-slices")
    assert {name: (case.patient, case.role, case.hu) for name, case in found.items()} == {
        "coronacases_001": ("coronacases_001", "labelled", False),
        "radiopaedia_10_85902_3": ("radiopaedia_10", "labelled", False),
        "radiopaedia_29": ("radiopaedia_29", "labelled", False),
        "radiopaedia_7_85703_0": ("radiopaedia_7", "labelled", False),
    }
    first = {name: np.asarray(case.image)[:, :, 0].tolist() for name, case in found.items()}
    assert first["coronacases_001"] == [[10, 20], [110, 120]]
    assert first["radiopaedia_10_85902_3"] == first["radiopaedia_29"] == [[20, 10], [120, 110]]
    assert first["radiopaedia_7_85703_0"] == [[120, 110], [20, 10]]
    case = found["radiopaedia_7_85703_0"]
    assert np.asarray(case.label).tolist() == [[[0] * 6] * 2, [[0] * 6, [0, 0, 0, 0, 1, 1]]]
    assert np.asarray(case.lung).tolist() == [[[1, 1, 0, 0, 1, 1]] * 2] * 2


def test_halves_of_all_volumes(raw: Path) -> None:
    """The midline lies behind the third column; the left half, which holds the lesions here, is mirrored."""
    found = read(raw, "zenodo20-halves")
    assert sorted(found)[:2] == ["coronacases_001.left", "coronacases_001.right"]
    assert len(found) == 8
    right, left = (found[f"coronacases_001.{side}"] for side in ("right", "left"))
    assert np.asarray(right.image)[0].tolist() == [[10, 11, 12], [20, 21, 22]]
    assert np.asarray(left.image)[0].tolist() == [[15, 14, 13], [25, 24, 23]]
    assert np.asarray(left.label)[0].tolist() == [[1, 1, 0], [0, 0, 0]]
    assert not np.asarray(right.label).any()
    assert np.asarray(left.lung)[0].tolist() == [[1, 1, 0]] * 2
    assert right.patient == left.patient == "coronacases_001"


def test_slices_of_different_sizes_and_odd_masks_are_refused(raw: Path) -> None:
    Image.fromarray(np.full((2, 6), 7, np.uint8)).save(raw / "lungs" / "corona0.png")
    with pytest.raises(UserError, match=r"lungs/corona0\.png"):
        read(raw, "zenodo20-slices")
    for folder in ("ct", "covid", "lungs"):
        Image.fromarray(np.zeros((3, 6), np.uint8)).save(raw / folder / "corona0.png")
    with pytest.raises(UserError, match="coronacases_001: slices of different sizes; a volume needs one"):
        read(raw, "zenodo20-slices")


@pytest.mark.parametrize("text", ["file,volume_inferred\na.png,coronacases_001\n", "file,volume,order\n"])
def test_a_manifest_without_its_columns_is_refused(text: str, raw: Path) -> None:
    (raw / "manifest_inferred.csv").write_text(text + "a,b,c\n")
    with pytest.raises(UserError, match=r"manifest_inferred\.csv: expected columns file, volume_inferred, order"):
        read(raw, "zenodo20-slices")
    (raw / "manifest_inferred.csv").unlink()
    with pytest.raises(UserError, match=r"manifest_inferred\.csv: no such file; fetch the data set again"):
        read(raw, "zenodo20-slices")
