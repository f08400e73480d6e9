"""The verb predict: masks that lie on their scans in every reader, and scans refused without stopping others."""

import csv
import gzip
import os

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from PIL import Image

from covidseg import steps
from covidseg.base.errors import UserError
from covidseg.inference import apply
from covidseg.inference.intensities import to_input
from covidseg.inference.montage import chosen
from covidseg.inference.scan import largest_region
from covidseg.inference.scans import find
from covidseg.inference.segmenters import Found, Segmenter, of_lungs, of_model
from tests.dicoms import SECRET, write_series
from tests.unit.inference.test_model import small


def chest(slices=3):
    """Return HU (S, 64, 64) of a body with two lungs, the patient's right one smaller, as seen on axial slices."""
    y, x = np.mgrid[:64, :64]
    hu = np.full((64, 64), -1000)
    hu[(x - 32) ** 2 / 28**2 + (y - 32) ** 2 / 22**2 < 1] = 40
    hu[(x - 20) ** 2 / 6**2 + (y - 32) ** 2 / 10**2 < 1] = -850
    hu[(x - 44) ** 2 / 8**2 + (y - 32) ** 2 / 14**2 < 1] = -850
    return np.repeat(hu[None], slices, axis=0).astype(np.int16)


def save_nifti(path, hu, affine, sform=1, qform=1):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = nib.Nifti1Image(np.asarray(hu), affine)
    image.header.set_sform(affine, code=sform)
    image.header.set_qform(affine, code=qform)
    nib.save(image, path)


def run(inputs, out, segmenter=None, **wanted):
    """Apply the threshold lung segmentation, or another; return failures and the lines that were said."""
    said = []
    scans, left = find([inputs])
    segmenter = segmenter or of_lungs("threshold", "cpu", out, None)
    failed = apply.run(segmenter, scans, apply.Wanted(out, **wanted), said.append)
    return failed, [*left, *said]


def table(out):
    with open(out / "volumes.csv", newline="") as f:
        return {row["scan"]: row for row in csv.DictReader(f)}


LAS = np.diag([-1.5, 1.5, 5.0, 1.0])
RAS = np.diag([1.5, 1.5, 5.0, 1.0])


@pytest.mark.parametrize(("sform", "qform"), [(1, 1), (2, 0), (0, 1), (4, 2)])
def test_a_mask_lies_on_its_scan_for_both_readers(sform, qform, tmp_path):
    """An oblique scan whose header has one form, the other or both: nibabel and SimpleITK see mask and scan alike."""
    c, s = np.cos(0.2), np.sin(0.2)
    affine = np.array([[c, -s, 0, 3], [s, c, 0, -7], [0, 0, 1, 11], [0, 0, 0, 1]]) @ np.diag([-1.5, -1.5, 5, 1])
    save_nifti(tmp_path / "in/a_0000.nii.gz", chest().transpose(2, 1, 0), affine, sform, qform)
    assert run(tmp_path / "in", tmp_path / "out")[0] == 0
    scan, mask = nib.load(tmp_path / "in/a_0000.nii.gz"), nib.load(tmp_path / "out/a.nii.gz")
    assert np.array_equal(scan.affine, mask.affine)
    for key in ("sform_code", "qform_code", "srow_x", "srow_y", "srow_z", "quatern_b", "quatern_c", "quatern_d"):
        assert np.array_equal(scan.header[key], mask.header[key]), key
    theirs, ours = (sitk.ReadImage(str(tmp_path / name)) for name in ("in/a_0000.nii.gz", "out/a.nii.gz"))
    assert ours.GetOrigin() == theirs.GetOrigin()
    assert ours.GetSpacing() == theirs.GetSpacing()
    assert ours.GetDirection() == theirs.GetDirection()
    voxels = np.asarray(mask.dataobj)
    assert voxels[20, 32].all()
    assert voxels[44, 32].all()
    assert not voxels[32, 32].any()
    assert mask.header["descrip"].tobytes().startswith(b"covidseg threshold")


@pytest.mark.parametrize("axes", [(2, 1, 0), (1, 2, 0), (0, 2, 1)])
def test_the_axes_may_lie_in_any_order(axes, tmp_path):
    """The same chest stored along other axes has the same lungs, at their place in the file."""
    hu = chest(4)
    affine = np.zeros((4, 4))
    for k, axis in enumerate(axes):  # store axes: 0 to the head, 1 to the back, 2 to the left
        affine[(2, 1, 0)[axis], k] = (5.0, -1.5, -1.5)[axis]
    affine[3, 3] = 1
    save_nifti(tmp_path / "in/a.nii.gz", hu.transpose(axes), affine)
    run(tmp_path / "in", tmp_path / "out")
    mask = np.asarray(nib.load(tmp_path / "out/a.nii.gz").dataobj)
    assert mask.shape == tuple(hu.shape[k] for k in axes)
    at = np.argwhere(mask.transpose(np.argsort(axes)))
    assert at[:, 2].min() >= 13  # the right lung's first column, 14, with a pixel of smoothing
    assert at[:, 2].max() <= 53
    assert "lesion_ml" not in table(tmp_path / "out")["a"]  # lungs are no lesion
    assert float(table(tmp_path / "out")["a"]["ml_lung"]) == pytest.approx(len(at) * 5 * 1.5 * 1.5 / 1000, abs=1e-4)


def test_one_bad_scan_costs_one_line(tmp_path):
    """The table has the good ones; what is no scan is named."""
    folder = tmp_path / "in"
    save_nifti(folder / "a.nii.gz", chest().transpose(2, 1, 0), RAS)
    save_nifti(folder / "deep/er/b.nii.gz", chest().transpose(2, 1, 0), RAS)
    save_nifti(folder / "shifted.nii.gz", chest().transpose(2, 1, 0) + 1024, RAS)
    (folder / "cut.nii.gz").write_bytes((folder / "a.nii.gz").read_bytes()[:-50])
    (folder / "notes.txt").write_text("read me")
    failed, said = run(folder, tmp_path / "out")
    assert failed == 2
    assert sorted(table(tmp_path / "out")) == ["a", "deep-er-b"]
    assert "left out, no scans: notes.txt" in said
    lines = [line for line in said if line.endswith("; this scan has no mask")]
    assert "cut.nii.gz: " in lines[0]
    assert "values from 24 to 1064 look like HU + 1024" in lines[1]
    assert all("\n" not in line for line in lines)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "a.nii.gz", "deep-er-b.nii.gz", "volumes.csv", "montage.png",
    }  # fmt: skip


def test_a_killed_run_goes_on(tmp_path):
    save_nifti(tmp_path / "in/a.nii.gz", chest().transpose(2, 1, 0), RAS)
    save_nifti(tmp_path / "in/b.nii.gz", chest().transpose(2, 1, 0), RAS)
    seen = []

    def segment(image, spacing, probabilities):
        if len(seen) == 1:
            raise KeyboardInterrupt
        seen.append(1)
        return Found((image < 100).astype(np.uint8), None, None)

    dark = Segmenter("dark", "covidseg dark", "1", {"dark": 1}, (-1250, 250), "both", [], segment)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "in", tmp_path / "out", dark)
    seen.clear()
    failed, said = run(tmp_path / "in", tmp_path / "out", dark)
    assert failed == 0
    assert seen == [1]
    assert "1 of them are done already" in said
    assert sorted(table(tmp_path / "out")) == ["a", "b"]
    assert not (tmp_path / "out/done.jsonl").exists()


def test_what_predict_will_not_do(tmp_path):
    save_nifti(tmp_path / "a.nii.gz", chest().transpose(2, 1, 0), RAS)
    with pytest.raises(UserError, match="would replace this scan"):
        run(tmp_path, tmp_path)
    with pytest.raises(UserError, match="no such file"):
        find([tmp_path / "absent"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="no scan"):
        find([tmp_path / "empty"])
    with pytest.raises(UserError, match="both named a; rename one"):
        find([tmp_path, tmp_path / "a.nii.gz"])
    failed, said = run(tmp_path / "a.nii.gz", tmp_path / "out", format="dicom-seg")
    assert failed == 1
    assert "a.nii.gz: DICOM SEG refers to a DICOM series" in said[-1]


@pytest.mark.parametrize(
    ("values", "learned", "said"),
    [
        ((0, 3071), "hu", r"look like HU \+ 1024"),
        ((0, 1), "both", "look like a mask, or slices scaled to 0..1"),
        ((-2.5, 4.5), "both", "look normalised"),
        ((0, 4), "8-bit", "look like the labels of a mask"),
        ((0, 255), "hu", "look like 8-bit grey, and this model was trained on HU"),
        ((7, 7), "both", "are all the same"),
        ((-160, 240), "both", "are neither HU nor 8-bit"),
        ((-1000, float("nan")), "both", "NaN or infinite"),
    ],
)
def test_values_that_are_neither_are_refused(values, learned, said):
    whole = all(float(v).is_integer() for v in values)
    image = np.tile(np.array(values, np.int16 if whole else np.float32), (1, 8, 8))
    with pytest.raises(UserError, match=said):
        to_input(image, (-1250, 250), learned)


def test_hu_pass_through_the_models_window():
    image = np.array([[[-1250, -500, 250, 3000]]], np.int16)
    assert to_input(image, (-1250, 250), "hu").tolist() == [[[0, 128, 255, 255]]]
    with pytest.raises(UserError, match="this model was trained on 8-bit slices"):
        to_input(image, None, "8-bit")
    with pytest.raises(UserError, match="no air or lung"):  # of DICOM it is known that they are HU
        to_input(np.full((1, 8, 8), 40, np.int16), (-1250, 250), "hu", hu=True)


def test_a_dicom_series_with_nothing_that_identifies(tmp_path):
    """Two series below one folder; no output holds an identifying tag, not even compressed."""
    write_series(tmp_path / "in/SECRETFOLDER/1", chest(), uid="1.2.3")
    write_series(tmp_path / "in/SECRETFOLDER/2", chest(), uid="1.2.4")
    assert run(tmp_path / "in", tmp_path / "out")[0] == 0
    rows = table(tmp_path / "out")
    assert [row["source"] for row in rows.values()].count("SECRETFOLDER/1") == 1  # the folder is the user's own word
    for path in (tmp_path / "out").iterdir():
        data = path.read_bytes()
        data = gzip.decompress(data) if path.suffix == ".gz" else data
        for secret in ("NAME", "SECRETID", "HOSPITAL", "19470823", "20200401", "113355", "1.2.3", "1.2.4"):
            assert secret.encode() not in data, (path.name, secret)
    name, row = next((name, row) for name, row in rows.items() if row["source"] == "SECRETFOLDER/1")
    mask = sitk.ReadImage(str(tmp_path / f"out/{name}.nii.gz"))
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(sorted(map(str, (tmp_path / "in/SECRETFOLDER/1").iterdir()), reverse=True))
    series = reader.Execute()
    assert mask.GetSize() == series.GetSize()
    assert np.allclose(mask.GetOrigin(), series.GetOrigin())
    assert np.allclose(mask.GetDirection(), series.GetDirection())
    assert np.allclose(mask.GetSpacing(), series.GetSpacing())
    voxels = sitk.GetArrayFromImage(mask)
    assert voxels[:, 32, 20].all()
    assert not voxels[:, 32, 32].any()
    assert float(row["ml_lung"]) == pytest.approx(np.count_nonzero(voxels) * 5 * 1.5 * 1.5 / 1000, abs=1e-3)


def test_dicom_seg(tmp_path):
    """A viewer finds the segmentation by the series' UIDs; its frames lie where the lungs are."""
    import highdicom as hd
    import pydicom

    paths = write_series(tmp_path / "in", chest())
    assert run(tmp_path / "in", tmp_path / "out", format="dicom-seg")[0] == 0
    (path,) = (tmp_path / "out").glob("*.dcm")
    seg = hd.seg.segread(path)
    assert seg.PatientID == f"{SECRET}ID"
    assert seg.StudyInstanceUID == "1.2.3.4.9"
    assert [seg.get_segment_description(k).segment_label for k in seg.segment_numbers] == ["lung"]
    uids = [pydicom.dcmread(path).SOPInstanceUID for path in paths]
    voxels = seg.get_pixels_by_source_instance(uids)[..., 0]
    assert voxels.shape == (3, 64, 64)
    assert voxels[:, 32, 20].all()
    assert voxels[:, 32, 44].all()
    assert not voxels[:, 32, 32].any()
    assert "covidseg threshold" in seg.SeriesDescription
    first = path.read_bytes()
    run(tmp_path / "in", tmp_path / "again", format="dicom-seg")
    assert pydicom.dcmread(tmp_path / "again" / path.name).SOPInstanceUID == seg.SOPInstanceUID
    assert first[:128] == b"\0" * 128


def test_a_single_dicom_slice(tmp_path):
    (path,) = write_series(tmp_path / "in", chest(1))
    assert run(path, tmp_path / "out")[0] == 0
    (mask,) = (tmp_path / "out").glob("*.nii.gz")
    assert nib.load(mask).shape == (64, 64, 1)


def test_pictures_and_phantoms(tmp_path):
    """A model of phantoms says so in every file; a picture's mask is a picture with the model's label value."""
    (tmp_path / "in").mkdir()
    grey = to_input(chest(1), (-1250, 250), "both")[0]
    Image.fromarray(grey).save(tmp_path / "in/one.png")
    Image.fromarray(np.repeat(grey[..., None], 3, axis=2)).save(tmp_path / "in/two.png")
    Image.fromarray(grey).save(tmp_path / "in/three.jpg", quality=95)
    save_nifti(tmp_path / "in/four.nii.gz", chest().transpose(2, 1, 0), RAS)
    model = of_model(small(), "cpu", 1, tmp_path, None)
    failed, said = run(tmp_path / "in", tmp_path / "out", model, probabilities=True)
    assert failed == 0
    assert "TRAINED ON PHANTOMS ONLY" in said[0]
    rows = table(tmp_path / "out")
    assert sorted(rows) == ["four", "one", "three", "two"]
    assert rows["one"]["ml_infection"] == ""
    assert "spacing unknown" in rows["one"]["empty_because"]
    for row in rows.values():
        assert "TRAINED ON PHANTOMS ONLY" in row["note"]
        assert row["model_sha256"] == small().sha256
    for name in ("one", "two", "three"):
        mask = Image.open(tmp_path / f"out/{name}.png")
        assert mask.size == (64, 64)
        assert set(np.unique(np.asarray(mask))) <= {0, 3}
        assert "PHANTOMS" in mask.text["Description"]
    maps = nib.load(tmp_path / "out/four-probability-infection.nii.gz")
    values, mask = np.asarray(maps.dataobj), np.asarray(nib.load(tmp_path / "out/four.nii.gz").dataobj)
    assert 0 < values.min() <= values.max() < 1  # of sigmoids
    assert np.array_equal(values >= 128 / 255 - 1e-6, mask == 3)
    assert b"PHANTOMS" in maps.header["descrip"].tobytes()
    assert Image.open(tmp_path / "out/montage.png").size == (6 * 192, 2 * 18 + 4 * (192 + 18))


def test_the_largest_region_by_pencil():
    found = np.zeros((2, 4, 6), np.uint8)
    found[0, 0, :3] = 1
    found[1, 0, 2] = 2  # touches the three by a face, whatever its class
    found[0, 3, 3:] = 1  # another three
    found[1, 2, 2] = 1  # touches those by an edge only
    assert largest_region(found) == 4
    assert largest_region(np.zeros_like(found)) == 0


def test_the_montage_shows_what_was_found():
    found = np.zeros((100, 2, 2), np.uint8)
    assert chosen(found) == [0, 20, 40, 59, 79, 99]
    found[37] = 1
    assert 37 in chosen(found)
    found[30:90] = 1
    assert chosen(found) == [30, 42, 54, 65, 77, 89]
    assert chosen(found[:2]) == [0, 1]


def test_the_command_outside_a_checkout(tmp_path, monkeypatch, capsys):
    """No config.yaml, no workflow folder; an unknown model, format or device is one line."""
    monkeypatch.chdir(tmp_path)
    save_nifti(tmp_path / "in/a.nii.gz", chest().transpose(2, 1, 0), RAS)
    arguments = [tmp_path / "in"], tmp_path / "out"
    config = tmp_path / "config.yaml"
    assert steps.predict(config, "threshold", *arguments, "auto", False, "cpu") == 0
    for model, form, device, said in (
        ("mine/ours", "auto", "cpu", "mine/ours: no such file; name a file of covidseg export, or a run"),
        ("threshold", "nrrd", "cpu", "unknown --format 'nrrd'"),
        ("threshold", "auto", "tpu", "unknown --device 'tpu'"),
    ):
        with pytest.raises(UserError, match=said):
            steps.predict(config, model, *arguments, form, False, device)
    assert sorted(os.listdir(tmp_path)) == ["in", "out"]
