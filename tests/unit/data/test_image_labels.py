"""A folder of images with a CSV of image labels: what is read, what is refused; no pixel is taken for truth."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from covidseg import schema
from covidseg.base.errors import UserError
from covidseg.data import canonical, splits, tensors
from covidseg.data.importers import cases, image_labels
from covidseg.train.image_labels import ImageLabelled, shown
from covidseg.train.loader import Slices

TWO = "a.png,yes\nb.jpg,no\n"


def write(
    folder: Path, csv: str = TWO, header: str = "image,label", files: tuple[str, ...] = ("a.png", "b.jpg")
) -> Path:
    """Write grey images of different sizes and the CSV; return the folder."""
    for k, name in enumerate(files):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((20 + k, 30), 100, np.uint8)).save(folder / name)
    (folder / "labels.csv").write_text(f"{header}\n{csv}")
    return folder


def described(folder: Path) -> schema.Dataset:
    return image_labels.described(schema.OwnScans(folder=folder, image_labels="labels.csv"), "Ours")


def test_an_image_without_lesion_is_background_and_one_with_it_has_no_labels(tmp_path: Path) -> None:
    lines = "a.png, Yes ,1\nsub/b.jpg,0,1\nc.PNG,,2\nd.jpeg,negative,\n"
    folder = write(tmp_path, lines, "image,label,patient", ("a.png", "sub/b.jpg", "c.PNG", "d.jpeg"))
    found = {case.name: case for case in cases(folder, described(folder))}
    assert {name: (case.patient, case.role, case.image.shape) for name, case in found.items()} == {
        "a": ("1", "labelled", (1, 20, 30)),
        "c": ("2", "unlabelled", (1, 22, 30)),
        "d": ("d.jpeg", "labelled", (1, 23, 30)),
        "sub-b": ("1", "labelled", (1, 21, 30)),
    }
    labels = {name: None if case.label is None else np.unique(case.label).tolist() for name, case in found.items()}
    assert labels == {"a": [255], "c": None, "d": [0], "sub-b": [0]}


@pytest.mark.parametrize(
    ("csv", "message"),
    [
        (TWO + "c.png,yes\n", "line 4: there is no image 'c.png'"),
        ("a.png,yes\n", "no line for b.jpg; add one"),
        ("", "no line for a.png and 1 more images; add one"),
        (TWO + "a.png,no\n", "line 4: a.png has two lines; keep one"),
        ("a.png,yes\nb.jpg,yes\n", "every label is yes; a classifier learns from images with and without"),
        ("a.png,no\nb.jpg,0\n", "every label is no"),
        ("a.png,\nb.jpg,\n", "no image has a label"),
        ("a.png,maybe\nb.jpg,no\n", "line 2: label 'maybe'; write yes or no"),
        ("a.png,yes,1\nb.jpg,no\n", "line 2: 3 fields for 2 columns"),
        ("a.png\nb.jpg,no\n", "line 2: 1 fields for 2 columns"),
    ],
)
def test_labels_that_are_refused(csv: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError) as e:
        described(write(tmp_path, csv))
    assert message in str(e.value)
    assert str(e.value).startswith(str(tmp_path / "labels.csv"))
    assert "\n" not in str(e.value)


@pytest.mark.parametrize("header", ["file,label", "image,label,age", "image,label,label", "image"])
def test_columns_that_are_refused(header: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"labels\.csv: expected the columns image,label"):
        described(write(tmp_path, header=header))


def test_folders_that_are_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"empty: no \.png, \.jpg, \.jpeg file in it"):
        described(tmp_path / "empty")
    write(tmp_path / "two", "a.png,yes\na.jpg,no\n", files=("a.png", "a.jpg"))
    with pytest.raises(UserError, match=r"a\.png: would be the case 'a', as .*a\.jpg; rename one"):
        described(tmp_path / "two")
    folder = write(tmp_path / "colour")
    Image.fromarray(np.arange(27, dtype=np.uint8).reshape(3, 3, 3)).save(folder / "a.png")
    with pytest.raises(UserError, match=r"a\.png: a colour image"):
        list(cases(folder, described(folder)))
    (folder / "labels.csv").unlink()
    with pytest.raises(UserError, match=r"labels\.csv: no such file; write one with the columns image,label"):
        described(folder)
    with pytest.raises(UserError, match="labels of images are of one class"):
        image_labels.described(schema.OwnScans(folder=folder, image_labels="labels.csv", classes=["a", "b"]), "Ours")


def test_the_store_and_the_tensors_know_that_nobody_drew_the_pixels(tmp_path: Path) -> None:
    folder = write(tmp_path / "images", "a.png,yes\nb.jpg,no\nc.png,\n", files=("a.png", "b.jpg", "c.png"))
    known = described(folder)
    store = tmp_path / "store"
    canonical.write(cases(folder, known), known, store)
    table = [
        (row["case"], row["px_infection"], row["image_label"]) for row in canonical.read_table(store / "slices.csv")
    ]
    assert table == [("a", None, 1), ("b", 0, 0), ("c", None, None)]
    tensors.build(store, known, 32, None, tmp_path / "tensors")
    loaded = tensors.load(tmp_path / "tensors")
    slices, rows = Slices(loaded, {"infection": (1,)}), np.array([0, 1])
    assert [np.unique(target).tolist() for target in slices.target(rows)] == [[255], [0]]
    assert shown(ImageLabelled(loaded, {"infection": (1,)}), rows).tolist() == [True, False]


def test_a_value_of_255_is_a_class_like_any_other_where_pixels_are_labelled(tmp_path: Path) -> None:
    known = schema.Dataset(title="", about="", licence="", importer="folder", classes={"a": 1, "b": 255})
    label = np.array([[[0, 1], [255, 255]]], np.uint8)
    canonical.write([canonical.Case("x", "x", "labelled", label, label, hu=False)], known, tmp_path / "store")
    tensors.build(tmp_path / "store", known, 16, None, tmp_path / "tensors")
    target = Slices(tensors.load(tmp_path / "tensors"), {"a": (1,)}).target(np.array([0]))
    assert np.unique(target).tolist() == [0, 1]  # b is not asked for: background


def test_none_validates_where_there_are_no_masks(tmp_path: Path) -> None:
    listed = [(f"c{k}", f"p{k // 2}", "labelled") for k in range(8)]
    split = splits.make("folds-2", listed, tmp_path / "s.csv", validate=False)
    assert [len(split.cases(fold, role)) for fold in (0, 1) for role in ("train", "val", "test")] == [4, 0, 4, 4, 0, 4]
    patients = {fold: {int(case[1:]) // 2 for case in split.cases(fold, "test")} for fold in (0, 1)}
    assert patients[0].isdisjoint(patients[1])


def test_folds_follow_the_patients(tmp_path: Path) -> None:
    def rule(lines: str) -> str:
        folder = write(tmp_path, lines, "image,label,patient", ("a.png", "b.jpg", "c.png"))
        return image_labels.default_split(schema.OwnScans(folder=folder, image_labels="labels.csv"))

    assert rule("a.png,yes,1\nb.jpg,no,2\nc.png,no,3\n") == "folds-3"
    assert rule("a.png,yes,1\nb.jpg,no,2\nc.png,no,1\n") == "folds-2"
    with pytest.raises(UserError, match=r"labels\.csv: labels of one patient; label images of a second one"):
        rule("a.png,yes,1\nb.jpg,no,1\nc.png,,2\n")
