"""A user's folder in the nnU-Net layout, with the README's three files, goes the whole way to a table."""

import csv
import json
import re
from pathlib import Path

import nibabel as nib
import numpy as np

from tests.conftest import ROOT, SMALL, copy_project


def scan(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return HU and infection mask of a body with two lungs and a dense lesion in one of them, (64, 64, 3)."""
    random = np.random.default_rng(seed)
    x, y = np.mgrid[:64, :64]
    hu = np.full((64, 64), -1000.0)
    hu[(x - 32) ** 2 / 28**2 + (y - 32) ** 2 / 22**2 < 1] = 40
    for centre in (20, 44):
        hu[(x - centre) ** 2 / 8**2 + (y - 32) ** 2 / 14**2 < 1] = -850
    lesion = (x - random.choice([20, 44])) ** 2 + (y - random.integers(26, 38)) ** 2 < 25
    hu[lesion] = -100
    volume = np.repeat(hu[..., None], 3, axis=2) + random.normal(0, 20, (64, 64, 3))
    return volume.astype(np.int16), np.repeat(lesion[..., None], 3, axis=2).astype(np.uint8)


def write_scans(folder: Path) -> None:
    for role, names in (("Tr", ["scan01", "scan02"]), ("Ts", ["scan03"])):
        for kind in ("images", "labels"):
            (folder / f"{kind}{role}").mkdir(parents=True)
        for k, name in enumerate(names):
            image, label = scan(10 * len(role + names[0]) + k)
            for kind, array, suffix in (("images", image, "_0000"), ("labels", label, "")):
                file = nib.Nifti1Image(array, np.diag([1.5, 1.5, 5.0, 1.0]))
                nib.save(file, folder / f"{kind}{role}" / f"{name}{suffix}.nii.gz")
    labels = {"labels": {"background": 0, "infection": 1}, "channel_names": {"0": "CT"}, "file_ending": ".nii.gz"}
    (folder / "dataset.json").write_text(json.dumps(labels))


def readme_block(after: str) -> str:
    """Return the first code block of the README after some words, so that what users copy is what is tested."""
    text = (ROOT / "README.md").read_text().split(after, 1)[1]
    found = re.search(r"```\w*\n(.*?)```", text, re.DOTALL)
    assert found
    return found.group(1)


def test_the_readmes_three_files_are_enough(tmp_path: Path) -> None:
    (tmp_path / "project").mkdir()
    project = copy_project(tmp_path / "project")
    write_scans(tmp_path / "scans")
    workflow = project.folder / "workflow"
    dataset = readme_block("`workflow/datasets/mine.yaml`")
    assert "folder: /data/our-scans" in dataset
    (workflow / "datasets" / "mine.yaml").write_text(dataset.replace("/data/our-scans", str(tmp_path / "scans")))
    (workflow / "splits" / "mine.csv").write_text(readme_block("`workflow/splits/mine.csv`"))
    (workflow / "papers" / "mine.yaml").write_text(readme_block("`workflow/papers/mine.yaml`"))
    (workflow / "presets" / "small.yaml").write_text(SMALL)
    project.snakemake("--quiet", "all", "--config", "mode=paper", "papers=[mine]", "preset=small")
    with open(project.folder / "results/paper/tables/mine/1.csv", newline="") as f:
        rows = {row["column"]: row for row in csv.DictReader(f) if row["protocol"] == "standard"}
    assert 0 <= float(rows["Dice"]["ours"]) <= 1
    assert rows["Dice"]["slices"] == "3"
    with open(project.folder / "data/paper/canonical/mine/slices.csv", newline="") as f:
        first = next(csv.DictReader(f))
    assert (first["case"], first["role"], first["dz"], first["dy"], first["dx"]) == (
        "scan01",
        "train",
        "5",
        "1.5",
        "1.5",
    )
