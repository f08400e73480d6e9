"""covidseg init: what a folder holds, said line by line, and the files that it writes or refuses to write."""

import json
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from covidseg.base.errors import UserError
from covidseg.own.look import look, words
from covidseg.own.start import _trained, init
from covidseg.plan import Plan
from tests.conftest import ROOT
from tests.dicoms import SECRET, write_series


def chest(value=-850):
    """Return HU (8, 8, 4), as NIfTI files hold them, of tissue with a lung of 3 x 3 x 4 voxels in it."""
    hu = np.full((8, 8, 4), 40, np.int16)
    hu[2:5, 2:5] = value
    return hu


def save(array, path, zooms=(1.5, 1.5, 5.0)):
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(array, np.diag([*zooms, 1.0])), path)


def lung(hu, value=1):
    return ((hu < -500) * value).astype(np.uint8)


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Return a folder with the configuration and the workflow's files, in which the test runs."""
    shutil.copytree(ROOT / "workflow", tmp_path / "project/workflow")
    shutil.copy(ROOT / "config.yaml", tmp_path / "project/config.yaml")
    monkeypatch.chdir(tmp_path / "project")
    return tmp_path / "project"


def run(name, folder):
    said = []
    init(name, folder, Path("config.yaml"), said.append, lambda line: None)
    return said


def test_a_folder_in_nnunets_layout(project, tmp_path):
    root = tmp_path / "scans"
    for k in (1, 2):
        save(chest(), root / f"imagesTr/s{k}_0000.nii.gz")
        save(lung(chest(), 4), root / f"labelsTr/s{k}.nii.gz", zooms=(1.5, 1.5, 5.0))
    save(chest(-900), root / "imagesTs/new_0000.nii.gz", zooms=(1.5, 1.5, 2.5))
    (root / "dataset.json").write_text(json.dumps({"labels": {"background": 0, "lesion": 4, "never": 5}}))
    said = run("mine", root)
    assert said[:8] == [
        f"{root}: nnU-Net layout",
        "  scans: 2 labelled, 1 without a mask",
        "  size: 8 x 8 pixels, 4 slices",
        "  spacing: 1.5 mm in a slice, 2.5 to 5 mm between slices",
        "  intensities: -900 to 40 (HU in 3)",
        "  label lesion = 4: in 2 of 2 masks, 14.06 % of their voxels",  # 36 of 256
        "  label never = 5: in 0 of 2 masks, 0.00 % of their voxels",
        "workflow/papers/mine.yaml: written",
    ]
    assert "mode was demo, is paper" in said[8]
    assert "], is [mine]" in said[8]
    plan = Plan.load()
    run_ = plan.run("mine/ours")
    assert run_.spec.split == "mine-folds-2"
    assert run_.spec.input.mode == "slice+lung"
    assert run_.spec.train.epochs == 150  # one fold trains on 4 slices: 1,000 steps of 4 would be more epochs
    assert run_.spec.train.augment is not None
    assert run_.spec.train.augment.mirror
    assert "train: {method: self_training, pool: {dataset: mine}" in Path("workflow/papers/mine.yaml").read_text()
    assert "# demo: phantom CT" in Path("config.yaml").read_text()  # comments stay
    with pytest.raises(UserError, match=r"mine\.yaml: is there already"):
        run("mine", root)


def test_pairs_in_one_folder(project, tmp_path):
    """As a lab keeps them: scan and mask side by side. They are linked; the folder stays as it is."""
    root = tmp_path / "pairs"
    for k in (1, 2):
        save(chest(-850 - k), root / f"id00{k}_ct.nii.gz")
        save(lung(chest()), root / f"id00{k}_lungmask.nii.gz")
    save(chest(-700), root / "id003_ct.nii.gz")
    before = sorted(path.name for path in root.iterdir())
    said = run("pairs", root)
    assert f"{root}: pairs of NIfTI scans and masks" in said
    assert "  label lung = 1: in 2 of 2 masks, 14.06 % of their voxels" in said
    assert "  scans: 2 labelled, 1 without a mask" in said
    made = project / "data/own/pairs"
    assert {path.relative_to(made).as_posix() for path in made.rglob("*") if path.is_file()} == {
        "dataset.json", "imagesTr/id001_ct.nii.gz", "imagesTr/id002_ct.nii.gz", "labelsTr/id001_ct.nii.gz",
        "labelsTr/id002_ct.nii.gz", "imagesTs/id003_ct.nii.gz",
    }  # fmt: skip
    assert (made / "labelsTr/id002_ct.nii.gz").resolve() == root / "id002_lungmask.nii.gz"
    assert json.loads((made / "dataset.json").read_text())["labels"] == {"background": 0, "lung": 1}
    assert sorted(path.name for path in root.iterdir()) == before
    text = Path("workflow/papers/pairs.yaml").read_text()
    assert "lungs: threshold" in text  # it tells lung from the gas of the stomach, which few scans may show
    assert "mode: slice+lung}" in text


def test_dicom_with_masks(project, tmp_path):
    from covidseg.data import dicom

    root = tmp_path / "dicom"
    for name in ("a", "b"):
        hu = np.ascontiguousarray(chest().transpose(2, 1, 0))
        write_series(root / "imagesTr" / name, hu, uid=f"1.2.{ord(name)}", PatientID=name)
        (series,), _ = dicom.in_folder(root / "imagesTr" / name)
        (root / "labelsTr").mkdir(exist_ok=True)
        nib.save(nib.Nifti1Image(lung(chest()), series.read().affine), root / f"labelsTr/{name}.nii.gz")
    (root / "dataset.json").write_text(json.dumps({"labels": {"background": 0, "infection": 1}}))
    said = run("dicom", root)
    assert "  scans: 2 labelled, 0 without a mask" in said
    assert "  intensities: -850 to 40 (HU in 2)" in said
    assert SECRET not in "".join(said)


@pytest.mark.parametrize(
    ("change", "missing", "refused"),
    [
        (lambda r: (r / "labelsTr/s1.nii.gz").unlink(), "masks of 1 training scans: s1", "one mask"),
        (lambda r: shutil.rmtree(r / "labelsTr"), "masks of 2 training scans: s1, s2", "no scan has a mask"),
        (lambda r: save(np.zeros((8, 8, 4), np.uint8), r / "labelsTr/s1.nii.gz"), "in 1 of 2 masks", ""),
        (lambda r: save(lung(chest(), 9), r / "labelsTr/s1.nii.gz"), "names no label 9", "1 files are wrong"),
        (lambda r: save(lung(chest())[1:], r / "labelsTr/s1.nii.gz"), "mask of shape", "1 files are wrong"),
        (lambda r: save(chest() + 1024, r / "imagesTr/s1.nii.gz"), "look like HU + 1024", "1 files are wrong"),
        (lambda r: (r / "imagesTr/s1.nii.gz").write_bytes(b"no"), "corrupt or not NIfTI", "1 files are wrong"),
        (lambda r: (r / "dataset.json").unlink(), "dataset.json: missing", ""),
    ],
)  # fmt: skip
def test_what_is_missing_is_said_and_nothing_is_written(project, tmp_path, change, missing, refused):
    root = tmp_path / "scans"
    for k in (1, 2):
        save(chest(), root / f"imagesTr/s{k}.nii.gz")
        save(lung(chest(), 4), root / f"labelsTr/s{k}.nii.gz")
    (root / "dataset.json").write_text(json.dumps({"labels": {"background": 0, "lesion": 4}}))
    change(root)
    assert missing in "\n".join(words(look(root)))
    before = Path("config.yaml").read_text()
    if refused:
        with pytest.raises(UserError, match=refused):
            run("mine", root)
        assert not Path("workflow/papers/mine.yaml").exists()
        assert Path("config.yaml").read_text() == before
    else:
        run("mine", root)
        assert Plan.load().run("mine/ours").spec.classes in (["lesion"], ["label4"])


def test_names_and_folders_that_cannot_be(project, tmp_path):
    (tmp_path / "empty").mkdir()
    for name, folder, said in (
        ("a b", tmp_path, "unusable name"),
        ("ssanet", tmp_path, "is there already"),
        ("mine", tmp_path / "absent", "no such folder"),
        ("mine", tmp_path / "empty", "no NIfTI, PNG or DICOM scan"),
    ):
        with pytest.raises(UserError, match=said):
            run(name, folder)
    save(chest(), tmp_path / "bare/a.nii.gz")
    with pytest.raises(UserError, match=r"no scan has a mask.*covidseg predict"):
        run("mine", tmp_path / "bare")


def test_labels_with_a_side_are_not_mirrored(project, tmp_path):
    root = tmp_path / "scans"
    for k in (1, 2):
        save(chest(), root / f"imagesTr/s{k}_0000.nii.gz")
        save(lung(chest(), 4), root / f"labelsTr/s{k}.nii.gz")
    (root / "dataset.json").write_text(json.dumps({"labels": {"background": 0, "left_lung": 4}}))
    run("mine", root)
    spec = Plan.load().run("mine/ours").spec
    assert (spec.train.augment.mirror, spec.train.augment.rotate) == (False, 10)
    assert spec.input.mode == "slice+lung"


def test_epochs_count_the_scans_that_one_fold_trains_on():
    """Of 20 scans a fold tests 4 and validates on 2; of two it trains on one."""
    assert [_trained(labelled) for labelled in (2, 3, 5, 20)] == [1, 1, 3, 14]
