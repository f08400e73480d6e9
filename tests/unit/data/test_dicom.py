"""DICOM series: their order, their grid and their values, by pencil and against SimpleITK; what is refused."""

import re

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813

from covidseg.base.errors import UserError
from covidseg.data import dicom
from covidseg.data.orientation import from_store
from tests.dicoms import SECRET, change, write_series


def stack(slices=3):
    """Return HU (S, 4, 5) in which every voxel differs."""
    return np.arange(slices * 20).reshape(slices, 4, 5) - 1000


def only(folder):
    series, left = dicom.series_of(dicom.below(folder))
    assert left == {}
    assert len(series) == 1
    return series[0]


def test_the_tags_that_are_read(tmp_path, monkeypatch):
    """No name, date, institution or description is among them; the patient's ID is, and becomes a hash."""
    assert set(dicom.TAGS) == {
        "SOPClassUID", "Modality", "ImageType", "PatientID", "SeriesInstanceUID", "NumberOfFrames", "SamplesPerPixel",
        "PhotometricInterpretation", "Rows", "Columns", "PixelSpacing", "SliceThickness", "ImageOrientationPatient",
        "ImagePositionPatient", "RescaleType",
    }  # fmt: skip
    import pydicom

    asked, read = [], pydicom.dcmread

    def spy(path, **options):
        asked.append(options)
        return read(path, **options)

    monkeypatch.setattr(pydicom, "dcmread", spy)
    write_series(tmp_path, stack(2))
    series = only(tmp_path)
    assert asked == [{"specific_tags": list(dicom.TAGS), "stop_before_pixels": True}] * 2
    assert re.fullmatch("p[0-9a-f]{8}-s[0-9a-f]{8}", series.name)
    assert SECRET not in repr((series.name, series.patient, series.folder))


def test_one_patient_keeps_one_name(tmp_path):
    write_series(tmp_path / "a", stack(2), uid="1.2.3")
    write_series(tmp_path / "b", stack(2), uid="1.2.4")
    write_series(tmp_path / "c", stack(2), uid="1.2.5", PatientID="another")
    series, _ = dicom.series_of(dicom.below(tmp_path))
    assert len({each.name for each in series}) == 3
    assert len({each.patient for each in series}) == 2


def test_slices_are_ordered_by_position(tmp_path):
    """Neither file names nor instance numbers follow the body: both run from the head."""
    paths = write_series(tmp_path, stack())
    assert [path.name for path in paths] == ["IM0003", "IM0002", "IM0001"]  # as written, from the foot
    series = only(tmp_path)
    assert series.files() == paths
    assert np.array_equal(series.read().array, stack())


@pytest.mark.parametrize(
    "orientation",
    [(1, 0, 0, 0, 1, 0), (-1, 0, 0, 0, -1, 0), (0, 1, 0, 0, 0, -1), (0.8, 0.6, 0, -0.6, 0.8, 0)],
)
def test_the_grid_is_simpleitks(orientation, tmp_path):
    """Supine, prone, sagittal and oblique slices: affine and voxels as SimpleITK reads the same files."""
    normal = np.cross(orientation[:3], orientation[3:])
    paths = write_series(tmp_path, stack(), (2.5, 0.7, 0.9), ImageOrientationPatient=list(orientation))
    for k, path in enumerate(paths):
        change(path, ImagePositionPatient=list(np.array([10.0, -20.0, 30.0]) + k * 2.5 * normal))
    volume = only(tmp_path).read()
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames([str(path) for path in paths])
    image = reader.Execute()
    direction = np.array(image.GetDirection()).reshape(3, 3)
    theirs = np.eye(4)
    theirs[:3, :3] = direction * np.array(image.GetSpacing())
    theirs[:3, 3] = image.GetOrigin()
    assert np.allclose(volume.affine, np.diag([-1, -1, 1, 1]) @ theirs, atol=1e-5)
    assert np.array_equal(from_store(volume.array, volume.axcodes), sitk.GetArrayFromImage(image).transpose(2, 1, 0))
    assert sorted(volume.spacing) == pytest.approx([0.7, 0.9, 2.5])


def test_rescaling_by_pencil(tmp_path):
    """Stored 0, 24, 1024 with slope 2 and intercept -1000 are -1000, -952 and 1048 HU."""
    hu = np.array([[[-1024, -1000, 0]]])  # which is stored as 0, 24, 1024
    write_series(tmp_path, hu, RescaleSlope=2, RescaleIntercept=-1000)
    assert only(tmp_path).read().array.tolist() == [[[-1000, -952, 1048]]]


def test_a_single_slice_has_its_thickness_for_a_spacing(tmp_path):
    write_series(tmp_path / "thick", stack(1), (7.5, 0.7, 0.9))
    assert only(tmp_path / "thick").read().spacing == pytest.approx((7.5, 0.7, 0.9))
    write_series(tmp_path / "unknown", stack(1), SliceThickness=None)
    assert np.isnan(only(tmp_path / "unknown").read().spacing[0])


def test_gaps_and_doubled_positions_are_named(tmp_path):
    paths = write_series(tmp_path, stack(5))
    paths[2].rename(tmp_path / "away")
    (tmp_path / "away").write_bytes(b"")
    with pytest.raises(UserError, match=r"10\.00 mm between IM0004 and IM0002, .* 5\.00 mm apart \(1 missing\)"):
        only(tmp_path).read()
    change(paths[1], ImagePositionPatient=[-48.0, -48.0, -100.0])
    with pytest.raises(UserError, match=r"IM000[45] and IM000[45] lie at one position \(-100\.00 mm\)"):
        only(tmp_path).read()


@pytest.mark.parametrize(
    ("tags", "said"),
    [
        ({"PixelSpacing": [2, 2]}, "has another pixel spacing than"),
        ({"ImageOrientationPatient": [0, 1, 0, 0, 0, -1]}, "has another orientation than"),
        ({"Rows": 5, "Columns": 4}, "has another size than"),
        ({"ImagePositionPatient": [-48, -48, -93.8]}, "uneven"),
    ],
)
def test_slices_that_do_not_stack_are_refused(tags, said, tmp_path):
    paths = write_series(tmp_path, stack(4))
    change(paths[1], **tags)
    with pytest.raises(UserError, match=said):
        only(tmp_path).read()


def test_a_tilted_gantry_is_refused(tmp_path):
    for k, path in enumerate(write_series(tmp_path, stack(4))):
        change(path, ImagePositionPatient=[-48, -48 + 5 * k, -100 + 5 * k])
    with pytest.raises(UserError, match=r"tilted by 45\.0 degrees"):
        only(tmp_path).read()


@pytest.mark.parametrize(
    ("tags", "said"),
    [
        ({"NumberOfFrames": 20}, "enhanced CT"),
        ({"PhotometricInterpretation": "MONOCHROME1"}, "colour or inverted"),
        ({"ImagePositionPatient": None}, "lacks ImagePositionPatient"),
        ({"RescaleType": "mgml"}, "values in mgml, not HU"),
        ({"Modality": "MR"}, "not CT but MR"),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}, "localizers"),
    ],
)
def test_what_is_no_ct_slice_is_left_out_by_name(tags, said, tmp_path):
    (path,) = write_series(tmp_path, stack(1), **tags)
    series, left = dicom.series_of([path])
    assert series == []
    assert list(left.values()) == [[path]]
    assert said in next(iter(left))


def test_a_damaged_file_spoils_the_series_beside_it(tmp_path):
    """It might be a slice at the series' end, which no gap would betray."""
    paths = write_series(tmp_path, stack(4))
    paths[3].write_bytes(paths[3].read_bytes()[:200])
    series, left = dicom.series_of(dicom.below(tmp_path))
    assert list(left.values()) == [[paths[3]]]
    with pytest.raises(UserError, match="a file beside its slices is damaged"):
        series[0].read()
    paths[2].write_bytes(paths[2].read_bytes()[:-10])
    with pytest.raises(UserError, match="IM0002: its pixels cannot be decoded"):
        dicom.series_of(paths[:3])[0][0].read()


def write_own(root):
    """Write two labelled series of one patient and one of another below imagesTr, and an unlabelled one."""
    import nibabel as nib

    for name, patient in (("a", "P1"), ("b", "P1"), ("c", "P2")):
        write_series(root / "imagesTr" / name / "slices", stack(), uid=f"1.2.{ord(name)}", PatientID=patient)
        series = only(root / "imagesTr" / name)
        label = np.zeros((5, 4, 3), np.uint8)
        label[4, 1, 2] = 7
        (root / "labelsTr").mkdir(exist_ok=True)
        stem = {"a": "a-slices", "b": series.name, "c": "c-slices"}[name]
        nib.save(nib.Nifti1Image(label, series.read().affine), root / "labelsTr" / f"{stem}.nii.gz")
    write_series(root / "imagesTs", stack(1), uid="1.2.9")
    (root / "dataset.json").write_text('{"labels": {"background": 0, "infection": 7}}')


def test_series_are_scans_of_ones_own(tmp_path):
    """Masks go by the series' name or its folder's; scans of one patient share its name, as splits need."""
    from covidseg.data.importers import folder
    from covidseg.schema import OwnScans

    write_own(tmp_path)
    dataset = folder.described(OwnScans(folder=tmp_path), "ours")
    cases = list(folder.cases(tmp_path, dataset))
    assert [case.role for case in cases] == ["train", "train", "train", "unlabelled"]
    assert len({case.name for case in cases}) == 4
    assert sorted([case.patient for case in cases].count(p) for p in {case.patient for case in cases}) == [1, 1, 2]
    assert {case.name for case in cases} == folder.names_of_cases(tmp_path)
    for case in cases[:3]:
        assert np.argwhere(case.label).tolist() == [[2, 1, 4]]  # slice, row and column, as in the DICOM slices
        assert case.image[2, 1, 4] == stack()[2, 1, 4]
        assert case.hu
    assert SECRET not in repr(cases)
    (tmp_path / "labelsTr/a-slices.nii.gz").unlink()
    with pytest.raises(UserError, match=r"labelsTr: no mask for .*imagesTr/a/slices \(series p"):
        list(folder.cases(tmp_path, dataset))


def test_only_ct_can_stand_among_ones_own(tmp_path):
    write_own(tmp_path)
    (path,) = write_series(tmp_path / "imagesTs/mr", stack(1), uid="1.2.10", Modality="MR")
    with pytest.raises(UserError, match="not CT but MR; only CT series"):
        dicom.in_folder(tmp_path / "imagesTs")
    change(path, Modality="CT", ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    assert len(dicom.in_folder(tmp_path / "imagesTs")[0]) == 1


@pytest.mark.parametrize("mm", [0.5, 0.02])
def test_slices_that_lie_close_are_not_doubled(mm, tmp_path):
    write_series(tmp_path, stack(), (mm, 0.7, 0.7))
    assert only(tmp_path).read().spacing[0] == pytest.approx(mm)


def test_one_channel_needs_no_tag_that_says_so(tmp_path):
    import pydicom

    for path in write_series(tmp_path, stack(2)):
        file = pydicom.dcmread(path)
        del file.SamplesPerPixel
        file.save_as(path)
    assert len(only(tmp_path).files()) == 2


def test_a_file_that_is_no_ct_is_named_once(tmp_path):
    (other, *_) = write_series(tmp_path, stack(1), Modality="MR")
    with pytest.raises(UserError) as e:
        dicom.in_folder(tmp_path)
    assert str(e.value) == f"{other}: not CT but MR; only CT series can stand in {tmp_path}, move it elsewhere"
    other.write_bytes(b"\0" * 128 + b"DICM")
    with pytest.raises(UserError) as e:
        dicom.in_folder(tmp_path)
    assert str(e.value).count(str(other)) == 1


def test_directions_that_are_not_quite_of_length_one_move_no_slice(tmp_path):
    """As rounded by an exporter: a slice 5 mm thick stays so, whatever the length of what is perpendicular to it."""
    write_series(tmp_path, stack(1), ImageOrientationPatient=[1.004, 0, 0, 0, 1.004, 0])
    affine = only(tmp_path).read().affine
    assert np.abs(affine[2]).tolist() == pytest.approx([0, 0, 5, 100])
