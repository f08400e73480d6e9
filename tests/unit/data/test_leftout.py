"""Every file of a user's folder is used, or named as left out with the reason, at import and in the record."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from covidseg.base.errors import UserError
from covidseg.data import canonical, importers
from covidseg.data.importers import folder, leftout
from tests.dicoms import write_series
from tests.unit.data.small import own, write_nifti

IMAGE = np.zeros((4, 5, 3), np.int16)
IMAGE[0, 0, 0] = -1000
MASK = (IMAGE < -500).astype(np.uint8)


def scan(root: Path, name: str, masked: bool = True, role: str = "Tr") -> None:
    write_nifti(root / f"images{role}" / f"{name}.nii.gz", IMAGE)
    if masked:
        write_nifti(root / f"labels{role}" / f"{name}.nii.gz", MASK)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    scan(tmp_path, "s0")
    scan(tmp_path, "s1")
    (tmp_path / "dataset.json").write_text(json.dumps({"labels": {"background": 0, "lesion": 1}}))
    return tmp_path


def roles(root: Path) -> dict[str, str]:
    return {case.name: case.role for case in importers.cases(root, own())}


def test_a_tidy_folder_leaves_nothing_out(root: Path) -> None:
    assert importers.left_out(root, own()) == {}


def test_letters_of_any_case_end_a_name(root: Path) -> None:
    for place in ("imagesTr", "labelsTr"):
        (root / place / "s0.nii.gz").rename(root / place / "s0.NII.GZ")
    assert roles(root) == {"s0": "train", "s1": "train"}
    assert importers.left_out(root, own()) == {}
    (case,) = (case for case in importers.cases(root, own()) if case.name == "s0")
    assert case.image[0, 0, 0] == -1000
    assert case.label is not None
    assert case.label.sum() == 1


def test_what_is_not_used_is_named_with_the_reason(root: Path) -> None:
    for name in ("imagesTr/._s0.nii.gz", "imagesTr/_s2.nii.gz", "imagesTr/s3.hdr", "imagesTr/s3.img", "notes.txt",
                 "imagesTr/s4.mha", "s5.nii.gz"):  # fmt: skip
        (root / name).touch()
    scan(root, "t", masked=False, role="Ts")
    write_nifti(root / "labelsTs" / "T.nii.gz", MASK)
    write_nifti(root / "labelsTr" / "s9.nii.gz", MASK)
    assert roles(root) == {"s0": "train", "s1": "train", "t": "unlabelled"}
    found = importers.left_out(root, own())
    assert found == {
        "a mask without a scan of its name in imagesTr": ["labelsTr/s9.nii.gz"],
        "a mask without a scan of its name in imagesTs": ["labelsTs/T.nii.gz"],
        "half of a pair of .hdr and .img; convert the pair to .nii.gz": ["imagesTr/s3.hdr", "imagesTr/s3.img"],
        "hidden, its name begins with a dot": ["imagesTr/._s0.nii.gz"],
        "its name begins with an underscore": ["imagesTr/_s2.nii.gz"],
        "not a scan or mask that is read (NIfTI, PNG, DICOM)": ["imagesTr/s4.mha", "notes.txt"],
        "not in a folder that is read": ["s5.nii.gz"],
    }
    assert folder.default_split(own_scans(root)) == "folds-2"  # T.nii.gz is no mask of a test scan
    data = own(window=[-1250, 250])
    canonical.write(importers.cases(root, data), data, root / "out", found)
    assert json.loads((root / "out/import.json").read_text())["left_out"] == found
    assert next(leftout.in_words({"a reason": ["1", "2", "3", "4", "5"]})) == "left out, a reason: 1, 2, 3 and 2 more"


def own_scans(root: Path) -> object:
    from covidseg.schema import OwnScans

    return OwnScans.model_validate({"folder": root})


@pytest.mark.parametrize(
    ("doubled", "said"),
    [
        ("imagesTr/s0.nii", "s0.nii.gz: .*s0.nii is a scan of the same name; keep one, or rename it"),
        ("imagesTr/more/s0.nii.gz", "s0.nii.gz is a scan of the same name"),
        ("imagesTs/s0.nii.gz", "imagesTs/s0.nii.gz: .*imagesTr/s0.nii.gz is a scan of the same name"),
        ("imagesTr/s0_0000.nii.gz", "is a scan of the same name"),
        ("labelsTr/s0.nii", "s0.nii is a mask of the same scan; keep one of the two"),
    ],
)
def test_two_files_of_one_name_are_refused(doubled: str, said: str, root: Path) -> None:
    write_nifti(root / doubled, IMAGE if "images" in doubled else MASK)
    with pytest.raises(UserError, match=said):
        roles(root)
    if "imagesTs" not in doubled:
        with pytest.raises(UserError, match="of the same"):
            folder.check_names(root)


def test_names_are_checked_before_anything_is_read(root: Path) -> None:
    (root / "imagesTs").mkdir()
    (root / "imagesTs/a,b.nii.gz").touch()
    for check in (folder.check_names, folder.contents):
        with pytest.raises(UserError, match=r"a,b.nii.gz: 'a,b' cannot name a case: it holds ','; rename the file"):
            check(root)


def test_linked_folders_are_entered_once(root: Path) -> None:
    outside = root.parent / f"{root.name}-outside"
    write_nifti(outside / "s2.nii.gz", IMAGE)
    write_nifti(root / "labelsTr/s2.nii.gz", MASK)
    os.symlink(outside, root / "imagesTr/linked")
    os.symlink(root / "imagesTr", root / "imagesTr/linked-in-a-circle")
    assert roles(root) == {"s0": "train", "s1": "train", "s2": "train"}
    assert importers.left_out(root, own()) == {}


def test_localizers_are_named(tmp_path: Path) -> None:
    write_series(tmp_path / "imagesTr/a", np.zeros((2, 4, 4), np.int16), uid="1.2.1")
    (scout,) = write_series(tmp_path / "imagesTr/scout", np.zeros((1, 4, 4), np.int16), uid="1.2.2")
    import pydicom

    header = pydicom.dcmread(scout)
    header.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    header.save_as(scout)
    (tmp_path / "dataset.json").write_text(json.dumps({"labels": {"lesion": 1}}))
    assert importers.left_out(tmp_path, own()) == {"localizers": [scout.relative_to(tmp_path).as_posix()]}


def test_a_series_of_days_names_what_it_leaves_out(tmp_path: Path) -> None:
    days = own(importer="series")
    write_nifti(tmp_path / "scans/a_day001.nii.gz", IMAGE)
    write_nifti(tmp_path / "scans/_b_day001.nii.gz", IMAGE)
    (tmp_path / "readme.txt").touch()
    assert importers.left_out(tmp_path, days) == {
        "its name begins with an underscore": ["scans/_b_day001.nii.gz"],
        "not a scan or mask that is read (NIfTI, PNG, DICOM)": ["readme.txt"],
    }


def test_what_a_header_leaves_unknown_is_returned_and_recorded(root: Path) -> None:
    for name in ("s0", "s1"):
        (root / f"imagesTr/{name}.nii.gz").unlink()
        path = write_nifti(root / f"imagesTr/{name}.nii", IMAGE)
        data = bytearray(path.read_bytes())
        data[252:256] = bytes(4)  # the codes of qform and sform
        path.write_bytes(data)
    data = own(window=[-1250, 250])
    notes = canonical.write(importers.cases(root, data), data, root / "out")
    assert notes == {
        "its header gives no orientation (sform and qform codes are 0); it is read as stored": ["s0", "s1"],
        "its voxel sizes are unknown (pixdim 1, 1, 1 and no orientation)": ["s0", "s1"],
    }
    assert json.loads((root / "out/import.json").read_text())["notes"] == notes
