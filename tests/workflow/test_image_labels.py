"""docs/image-labels.md, word for word: a user with no masks trains from yes and no, and gets masks."""

import csv
import json
import re
from pathlib import Path

import numpy as np
from PIL import Image

from tests.conftest import ROOT, SMALL, copy_project

PAGE = ROOT / "docs/image-labels.md"


def commands(images: Path, new: Path) -> list[list[str]]:
    """Return the page's commands; only the two folders that the reader has are put in."""
    text = "".join(re.findall(r"```sh\n(.*?)```", PAGE.read_text("utf-8"), re.S))
    text = text.replace("/data/our-images", str(images)).replace("/data/new-images", str(new))
    return [line.split() for line in text.splitlines()]


def picture(seed: int, lesion: bool) -> np.ndarray:
    """Return a slice with two lungs, of its own size, and perhaps a lesion in one of them."""
    random = np.random.default_rng(seed)
    height, width = 40 + seed % 5, 48 + seed % 7
    y, x = np.mgrid[:height, :width]
    image = np.where(((x - width / 2) / 22) ** 2 + ((y - height / 2) / 18) ** 2 < 1, 170.0, 0)
    for centre in (0.3, 0.7):
        image[((x - centre * width) / 7) ** 2 + ((y - height / 2) / 11) ** 2 < 1] = 30
    if lesion:
        image[(x - random.choice([0.3, 0.7]) * width) ** 2 + (y - height / 2) ** 2 < 16] = 150
    return np.clip(image + random.normal(0, 8, image.shape), 0, 255).astype(np.uint8)


def write_images(folder: Path) -> None:
    """Write six images of two patients with labels and one without, PNG and JPEG, some in a folder of their own."""
    (folder / "more").mkdir(parents=True)
    lines = ["image,label,patient"]
    for k in range(7):
        name = f"more/i{k}.jpg" if k % 2 else f"i{k}.png"
        Image.fromarray(picture(k, lesion=k % 2 == 0)).save(folder / name)
        lines.append(f"{name},{'' if k == 6 else 'yes' if k % 2 == 0 else 'no'},{k // 4}")
    (folder / "labels.csv").write_text("\n".join(lines) + "\n")


def test_masks_from_yes_and_no(tmp_path: Path) -> None:
    (tmp_path / "project").mkdir()
    project = copy_project(tmp_path / "project")
    (project.folder / "workflow/presets/cpu.yaml").write_text(SMALL)  # a preset for a test's seconds
    write_images(tmp_path / "images")
    (tmp_path / "new").mkdir()
    Image.fromarray(picture(9, lesion=True)).save(tmp_path / "new/x.png")
    init, snakemake, predict = commands(tmp_path / "images", tmp_path / "new")

    said = project.run(*init)
    assert "3 images with and 3 without the lesion, 1 without a label; 2 patients" in said
    paper = project.folder / "workflow/papers/mine.yaml"  # whose epochs are taken as written: these are a test's
    paper.write_text(
        re.sub(r"from_epoch: \d+", "from_epoch: 1", re.sub(r"\bepochs: \d+", "epochs: 2", paper.read_text()))
    )
    project.run(*snakemake)
    results = project.folder / "results/paper"
    masks = results / "masks/mine/ours"
    assert {path.name: np.asarray(Image.open(path)).shape for path in masks.glob("*.png")} == {
        f"{'more-' * (k % 2)}i{k}.png": (40 + k % 5, 48 + k % 7) for k in range(7)
    }
    assert {value for path in masks.glob("*.png") for value in np.unique(np.asarray(Image.open(path)))} <= {0, 255}
    with open(results / "tables/mine/1.csv", newline="") as f:
        cells = {(row["row"], row["column"]): row for row in csv.DictReader(f)}
    missed, invented = (float(cells["Masks", column]["ours"]) for column in ("Missed", "Invented"))
    assert float(cells["Masks", "Agrees"]["ours"]) == (6 - missed - invented) / 6
    assert 0 <= float(cells["Attention maps", "Accuracy"]["ours"]) <= 1
    assert {row["protocol"] for row in cells.values()} == {"images"}  # no pixel was compared with a truth
    with open(results / "runs/mine/ours/cases.csv", newline="") as f:
        scores = [row for row in csv.DictReader(f) if row["protocol"] == "standard"]
    assert {row["dice"] for row in scores} == {""}
    made = json.loads((results / "runs/mine/labels/fold0-seed0/run.json").read_text())
    assert (made["labels"]["dice"], made["slices"]["val"]) == (None, 0)
    assert (results / "report.html").is_file()
    for figure in ("1", "2"):
        assert (results / f"figures/mine/{figure}.pdf").read_bytes().startswith(b"%PDF")
    project.run(*predict)
    assert (project.folder / "masks/x.png").is_file()

    # a run that would take the labels of images for masks is refused by name
    paper.write_text(paper.read_text().replace("ours: {train: {labels: {run: labels}}}", "ours: {}"))
    assert (
        "runs.ours.train: mine has labels of images only; make labels of pixels by method cam"
        in project.refused("show")[0]
    )
