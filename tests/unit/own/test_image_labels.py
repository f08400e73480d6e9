"""The paper file for a folder of images with a CSV of labels and no masks."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from PIL import Image

from covidseg.own import image_labels


def images(folder: Path, labels: list[str], sides: list[tuple[int, int]]) -> Path:
    folder.mkdir()
    lines = ["image,label,patient"]
    for k, (label, side) in enumerate(zip(labels, sides, strict=True)):
        Image.new("L", side).save(folder / f"{k}.png")
        lines.append(f"{k}.png,{label},{k // 2}")
    (folder / "labels.csv").write_text("\n".join(lines) + "\n")
    return folder


def test_settings_follow_the_images(tmp_path: Path) -> None:
    """2000 steps of 8 known images are 4000 epochs of 4 images, of which 150 are the most; a sixth of them is 25. The
    longer sides are 300, 90, 100, 110 and 200: their median of 110 is nearest to 96.
    """
    sides = [(300, 20), (90, 90), (100, 64), (80, 110), (70, 200)]
    folder = images(tmp_path / "scans", ["yes", "no", "no", "yes", ""], sides)
    text, said = image_labels.paper("mine", folder, "labels.csv")
    found = yaml.safe_load(text)
    assert found["dataset"] == {"folder": str(folder), "image_labels": "labels.csv"}
    assert found["defaults"]["input"]["size"] == 96
    assert found["defaults"]["train"]["epochs"] == found["runs"]["labels"]["train"]["epochs"] == 150
    assert found["runs"]["labels"]["train"]["from_epoch"] == 25
    assert found["runs"]["labels"]["train"]["batch"] == 8
    assert said == [
        f"{folder}: images with labels in labels.csv, no masks",
        "  images: 2 images with and 2 without the lesion, 1 without a label; 3 patients",
        "  size: 20 to 200 x 70 to 300 pixels",
    ]


@pytest.mark.parametrize(("images_", "epochs", "first"), [(300, 53, 8), (2000, 20, 3)])
def test_many_images_take_fewer_epochs(images_: int, epochs: int, first: int, tmp_path: Path) -> None:
    folder = images(tmp_path / "scans", ["yes", "no"] * (images_ // 2), [(16, 16)] * images_)
    found = yaml.safe_load(image_labels.paper("mine", folder, "labels.csv")[0])
    train = found["runs"]["labels"]["train"]
    assert (train["epochs"], train["from_epoch"]) == (epochs, first)
    assert found["defaults"]["input"]["size"] == 64  # the least


def test_which_folder_holds_images_with_labels(tmp_path: Path) -> None:
    folder = images(tmp_path / "scans", ["yes"], [(16, 16)])
    assert image_labels.labels_in(folder) == "labels.csv"
    (folder / "other.csv").write_text("name,age\n")
    (folder / "torn.csv").write_bytes(b"\xff\xfe\x00")
    assert image_labels.labels_in(folder) == "labels.csv"
    (folder / "more.csv").write_text("image,label\n")
    assert image_labels.labels_in(folder) is None  # which of them?
    (folder / "more.csv").unlink()
    (folder / "imagesTr").mkdir()
    assert image_labels.labels_in(folder) is None
    assert image_labels.labels_in(folder / "labels.csv") is None
