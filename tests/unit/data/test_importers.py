"""Importers: real file formats, refused in one line when they are broken."""

import gzip
import json
import struct
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from covidseg.base.errors import UserError
from covidseg.data import canonical, importers, raw
from covidseg.data.canonical import Case
from covidseg.data.importers import folder
from covidseg.data.importers.covid_semiseg import LABELLED
from covidseg.data.importers.patients import patient, volume
from covidseg.data.importers.read import grey, nifti, nifti_mask, whole
from tests.unit.data.small import dataset, own, write_nifti

LABELS = {"labels": {"background": 0, "lesion": 1}}


def refused(message, function, *arguments):
    with pytest.raises(UserError, match=message) as e:
        function(*arguments)
    assert "\n" not in str(e.value)


def test_corrupt_nifti(tmp_path):
    path = write_nifti(tmp_path / "a.nii.gz", np.zeros((9, 9, 9), np.int16))
    path.write_bytes(path.read_bytes()[:-40])
    refused("a.nii.gz: corrupt or not NIfTI", nifti, path)
    path.write_bytes(b"not a scan")
    refused("a.nii.gz: corrupt or not NIfTI", nifti, path)
    path.write_bytes(gzip.compress(b"\0" * 400))
    refused("a.nii.gz: corrupt or not NIfTI", nifti, path)
    refused("no such file", nifti, tmp_path / "b.nii.gz")


def test_4d_and_rgb_nifti(tmp_path):
    refused("4-D of shape", nifti, write_nifti(tmp_path / "a.nii", np.zeros((3, 3, 3, 2), np.int16)))
    rgb = np.zeros((3, 3, 3), [("R", "u1"), ("G", "u1"), ("B", "u1")])
    refused("RGB", nifti, write_nifti(tmp_path / "b.nii", rgb))
    assert nifti(write_nifti(tmp_path / "c.nii", np.zeros((2, 3, 4, 1), np.int16))).array.shape == (4, 3, 2)
    assert nifti(write_nifti(tmp_path / "d.nii", np.zeros((2, 3, 1), np.int16))).array.shape == (1, 3, 2)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_voxels_that_are_not_finite(value, tmp_path):
    array = np.zeros((3, 3, 3), np.float32)
    array[1, 1, 1] = value
    refused("NaN or infinite", nifti, write_nifti(tmp_path / "a.nii", array))


def test_masks_that_do_not_fit(tmp_path):
    image = nifti(write_nifti(tmp_path / "a.nii", np.zeros((3, 3, 3), np.int16)))
    mask = write_nifti(tmp_path / "b.nii", np.zeros((3, 3, 4), np.uint8))
    refused(r"mask of shape \(4, 3, 3\) for an image of shape \(3, 3, 3\)", nifti_mask, mask, image)
    refused("not whole numbers", whole, np.array([0.5]), mask)
    refused("expected 0 to 255", whole, np.array([-1]), mask)
    refused("expected 0 to 255", whole, np.array([256]), mask)
    assert whole(np.array([0, 255]), mask).tolist() == [0, 255]


def test_images_that_are_not_grey(tmp_path):
    Image.new("RGB", (4, 4), (9, 0, 0)).save(tmp_path / "a.png")
    refused("a colour image; expected 8-bit grey", grey, tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes((tmp_path / "a.png").read_bytes()[:30])
    refused("corrupt or not an image", grey, tmp_path / "b.png")


def test_a_palette_is_the_grey_of_its_colours_or_in_a_label_map_its_indices(tmp_path):
    image = Image.new("P", (2, 1))
    image.putpalette([7, 7, 7, 200, 200, 200])
    image.putdata([0, 1])
    image.save(tmp_path / "a.png")
    assert grey(tmp_path / "a.png").tolist() == [[7, 200]]
    assert grey(tmp_path / "a.png", palette=True).tolist() == [[0, 1]]


def test_the_hundred_slices_and_those_without_labels(tmp_path):
    """Slice by slice; the mask's header, as published, names another spacing between slices than the image's."""
    image = np.arange(2 * 3 * 4, dtype=np.int16).reshape(2, 3, 4)
    mask = np.zeros((2, 3, 4), np.uint8)
    mask[1, 2, 3] = 1
    write_nifti(tmp_path / "tr_im.nii.gz", image)
    write_nifti(tmp_path / "tr_mask.nii.gz", mask, np.diag([-1, -1, 9, 1]))
    write_nifti(tmp_path / "val_im.nii.gz", image[:, :, :2])
    found = list(importers.cases(tmp_path, own(importer="medseg_slices", window=(-1250, 250))))
    assert [(case.name, case.role, case.image.shape) for case in found] == [
        *((str(k), "labelled", (1, 3, 2)) for k in range(4)),
        *((f"val_{k}", "unlabelled", (1, 3, 2)) for k in range(2)),
    ]
    assert [int(case.label.sum()) for case in found[:4]] == [0, 0, 0, 1]
    assert [case.image[0, 0, 0] for case in found] == [0, 1, 2, 3, 0, 1]


def user_folder(root, names=("a_0000", "b_0000"), labels=LABELS):
    image = np.zeros((4, 5, 3), np.int16)
    image[0, 0, 0] = -1000
    for name in names:
        write_nifti(root / "imagesTr" / f"{name}.nii.gz", image)
        mask = (image < -500).astype(np.uint8)
        write_nifti(root / "labelsTr" / f"{name.removesuffix('_0000')}.nii.gz", mask)
    write_nifti(root / "imagesTs" / "c_0000.nii.gz", image)
    write_nifti(root / "imagesUn" / "d.nii.gz", image)
    (root / "dataset.json").write_text(json.dumps(labels))


@pytest.mark.parametrize("labels", [LABELS, {"labels": {"0": "background", "1": "lesion"}}])
def test_folder_of_a_user(labels, tmp_path):
    user_folder(tmp_path, labels=labels)
    cases = {case.name: case for case in importers.cases(tmp_path / "raw", own(folder=tmp_path))}
    assert {name: case.role for name, case in cases.items()} == {
        "a": "train",
        "b": "train",
        "c": "unlabelled",  # a scan without mask tests nothing
        "d": "unlabelled",
    }
    assert cases["a"].image.shape == (3, 5, 4)
    assert cases["a"].label is not None
    assert cases["a"].label[0, 0, 0] == 1
    assert cases["a"].label.sum() == 1
    assert cases["c"].label is None


def test_folders_that_are_refused(tmp_path):
    def read():
        return list(importers.cases(tmp_path, own()))

    refused("dataset.json: no such file", read)
    for labels, said in ((["lesion"], "labels is a list"), ({"core": 2, "whole": [1, 2]}, "regions of several labels")):
        (tmp_path / "dataset.json").write_text(json.dumps({"labels": labels}))
        refused(f'expected "labels": .*{said}', read)
    (tmp_path / "dataset.json").write_text(json.dumps({"labels": {"background": 0, "tumour": 1}}))
    refused("no label named 'lesion'; its labels: background, tumour", read)
    (tmp_path / "dataset.json").write_text(json.dumps(LABELS))
    refused("no .nii.gz or .nii or .png files", read)
    user_folder(tmp_path, ["a_0001"])
    refused("a second channel", read)
    (tmp_path / "imagesTr" / "a_0001.nii.gz").rename(tmp_path / "imagesTr" / "x.nii.gz")
    write_nifti(tmp_path / "imagesTr" / "y.nii.gz", np.zeros((4, 5, 3), np.int16))
    refused("no mask for x.nii.gz and 1 more; unlabelled scans go to imagesTs", read)
    refused(
        "unknown name 'foldr'; did you mean 'folder'?", lambda: list(importers.cases(tmp_path, own(importer="foldr")))
    )


def test_names_below_a_folder_are_those_of_its_cases(tmp_path):
    user_folder(tmp_path)
    assert (
        folder.names_of_cases(tmp_path)
        == {case.name for case in importers.cases(tmp_path, own())}
        == {"a", "b", "c", "d"}
    )


@pytest.mark.parametrize("value", [256, -1, 1.5, float("inf"), True, 10**400])
def test_a_label_map_holds_values_of_an_8_bit_mask(value, tmp_path):
    (tmp_path / "dataset.json").write_text(json.dumps({"labels": {"background": 0, "lesion": value}}))
    refused(
        "is no label of 0 to 255|cannot convert", lambda: folder.label_map(tmp_path / "dataset.json", {"lesion": 1})
    )


def test_names_that_look_like_values_are_only_names(tmp_path):
    names = ["NA", "nan", "None", "null", "1", "²", "Müller 2 (links)"]
    user_folder(tmp_path / "in", names)
    data = own(window=[-1250, 250])
    canonical.write(importers.cases(tmp_path / "in", data), data, tmp_path / "out")
    assert {row["case"] for row in canonical.read_table(tmp_path / "out" / "slices.csv")} >= set(names)


@pytest.mark.parametrize(
    "name", ["a b'c\"$(touch pwned)", "{x}; `touch pwned`", "-rf", "a,b", "=1+1", "a\nb", "a\udcff", "a$\\frac{$b"]
)
def test_what_cannot_be_a_name_is_refused(name, tmp_path):
    user_folder(tmp_path, [name])
    cases = importers.cases(tmp_path, own())
    refused("cannot name a case: it (holds|begins with)", lambda: canonical.write(cases, own(), tmp_path / "bad"))
    assert not list((tmp_path / "bad").glob("*"))


def test_a_header_that_names_more_than_the_file_holds(tmp_path):
    path = write_nifti(tmp_path / "a.nii.gz", np.zeros((4, 4, 4), np.int16))
    data = bytearray(gzip.decompress(path.read_bytes()))
    data[42:48] = struct.pack("<3h", 32767, 32767, 32767)
    path.write_bytes(gzip.compress(bytes(data)))
    refused("the header names 70362301923326 bytes of voxels, more than the file can hold", lambda: nifti(path))
    data[42:48] = struct.pack("<3h", 9, 9, 9)
    (tmp_path / "b.nii").write_bytes(bytes(data))
    refused("the header names 1458 bytes", lambda: nifti(tmp_path / "b.nii"))


def test_a_label_outside_the_map(tmp_path):
    user_folder(tmp_path)
    write_nifti(tmp_path / "labelsTr" / "a.nii.gz", np.full((4, 5, 3), 9, np.uint8))
    refused(
        r"a.nii.gz: label values \[9\] .* or name them in dataset.json", lambda: list(importers.cases(tmp_path, own()))
    )


@pytest.mark.parametrize("name", ["covid-ct-seg", "covid-semiseg", "medseg-1", "medseg-2", "zenodo20-slices"])
def test_an_empty_raw_folder(name, tmp_path):
    refused("fetch the data set again", lambda: list(importers.cases(tmp_path, dataset(name))))


def test_patients_of_the_twenty_volumes():
    assert volume("Data-1_coronacases_org_001_18.jpg") == "coronacases_001"
    assert volume("Data-1_radiopaedia_org_covid-19-pneumonia-10_85902_3-dcm_155") == "radiopaedia_10_85902_3"
    assert volume("radiopaedia_4_85506_1.nii.gz") == "radiopaedia_4_85506_1"
    assert patient("radiopaedia_10_85902_1") == patient("radiopaedia_10_85902_3") == "radiopaedia_10"


def test_palette_and_grey_masks_mean_the_same(tmp_path):
    raw = tmp_path
    for k, role in ((0, "train"), (6, "test")):
        images, masks = LABELLED[role]
        (raw / images).mkdir(parents=True)
        (raw / masks).mkdir(parents=True)
        Image.new("L", (3, 2), 100).save(raw / images / f"{k}.jpg")
        array = np.array([[0, 1, 2], [0, 0, 0]], np.uint8)
        if role == "train":
            image = Image.fromarray(array)
            image.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0])
        else:
            image = Image.fromarray(np.array([0, 38, 75], np.uint8)[array])
        image.save(raw / masks / f"{k}.png")
    cases = list(importers.cases(raw, dataset("covid-semiseg")))
    for case in cases:
        # rows run from right to left and columns to the back: the row becomes a column
        assert case.label.tolist() == [[[0, 0], [1, 0], [2, 0]]]


def test_real_covid_semiseg(shared_data):
    raw = shared_data / "covid-semiseg"
    cases: Counter[str] = Counter()
    for case in importers.cases(raw, dataset("covid-semiseg")):
        cases[case.role] += 1
        if case.name == "0":
            assert case.image.shape == (1, 273, 369)  # stood up: the manifest has the width 273 and the height 369
            assert (np.bincount(case.label.ravel()).tolist()[1:]) == [8136, 27645]  # manifest_labelled.csv
        if cases["unlabelled"] == 3:
            break
    assert cases == {"train": 50, "test": 48, "unlabelled": 3}


def test_real_zenodo20_slices(shared_data):
    raw = shared_data / "zenodo20-slices"
    first: Case = next(importers.cases(raw, dataset("zenodo20-slices")))
    assert first.name == "coronacases_001"
    assert first.image.shape == (159, 256, 256)
    assert (first.lung[0].sum(), first.label[0].sum()) == (1584, 9)  # manifest_inferred.csv


@pytest.mark.parametrize(("labels", "message"), [
    ('{"background": 0, "a": 1, "b": 1}', "label value 1 has two names, a and b"),
    ('{"background": 0, "a": 1, "a": 2}', "the key 'a' stands twice"),
    ('{"background": 1, "a": 2}', "background is 1; background is 0, rename that label"),
    ('{"background": 0, "a b": 1, "a-b": 2}', "two labels have one name"),
])  # fmt: skip
def test_a_label_map_that_says_two_things(labels, message, tmp_path):
    (tmp_path / "dataset.json").write_text(f'{{"labels": {labels}}}')
    refused(message, folder.labels, tmp_path / "dataset.json")


def test_two_masks_of_one_scan_and_long_names(tmp_path):
    user_folder(tmp_path)
    write_nifti(tmp_path / "labelsTr" / "a.nii", np.zeros((4, 5, 3), np.uint8))
    refused("a.nii.gz: a.nii is a mask of the same scan", lambda: list(importers.cases(tmp_path, own())))
    case = Case("x" * 201, "x", "train", np.zeros((1, 2, 2), np.uint8), np.zeros((1, 2, 2), np.uint8))
    refused("cannot name a case: it is longer than 100 bytes", canonical.write, [case], own(), tmp_path / "out")


def test_maps_of_others_by_method_and_slice(tmp_path):
    """A folder that is not there, or that the fetch left out, has no cases; 1 is certainty where no map exceeds it.

    The authors' images lie on their side: rows become columns.
    """
    sources = [{"name": name, "optional": True} for name in ("GGO/Net", "Con/Net", "GGO/Gone", "GGO/Left")]
    data = own(importer="covid_semiseg_maps", sources=sources)
    values = {"GGO/Net": ([[0, 128, 255]], [[7, 0, 9]]), "Con/Net": ([[0, 1, 1]],), "GGO/Left": ([[1, 1, 1]],)}
    for name, maps in values.items():
        (tmp_path / name).mkdir(parents=True)
        for k, one in enumerate(maps, 3):
            Image.fromarray(np.array(one, np.uint8)).save(tmp_path / name / f"{k}.png")
    raw.write(tmp_path, {"files": {}, "left_out": {"GGO/Left": "absent"}})
    found = list(importers.cases(tmp_path, data))
    assert [(case.name, case.patient, case.role, case.hu) for case in found] == [
        ("GGO.Net.3", "3", "map", False), ("GGO.Net.4", "4", "map", False), ("Con.Net.3", "3", "map", False),
    ]  # fmt: skip
    assert [case.image.shape for case in found] == [(1, 3, 1)] * 3
    assert [case.image.ravel().tolist() for case in found] == [[0, 128, 255], [7, 0, 9], [0, 255, 255]]


def test_pictures_of_a_user_are_slices(tmp_path):
    """A PNG of 8 bits is a case of one slice, as it is; its mask has the values of dataset.json."""
    for kind, values in (("imagesTr", [[10, 200], [0, 255]]), ("labelsTr", [[0, 2], [2, 0]])):
        (tmp_path / kind).mkdir()
        for name in "ab":
            Image.fromarray(np.array(values, np.uint8)).save(tmp_path / kind / f"{name}.png")
    (tmp_path / "dataset.json").write_text('{"labels": {"background": 0, "lesion": 2}}')
    found = list(importers.cases(tmp_path / "raw", own(folder=tmp_path)))
    assert [(case.name, case.role, case.hu) for case in found] == [("a", "train", False), ("b", "train", False)]
    assert np.asarray(found[0].image).tolist() == [[[10, 200], [0, 255]]]
    assert np.asarray(found[0].label).tolist() == [[[0, 1], [1, 0]]]
