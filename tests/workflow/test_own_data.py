"""A user's folder in the nnU-Net layout, with the one file of docs/own-scans.md, goes the whole way to a table, masks
and volumes."""

import csv
import json
import re
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

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


# Axes grow to the right, the feet and the back: slices lie along the second one, as in coronal order.
TILTED = np.array([[1.5, 0, 0, -40], [0, 0, -1.25, 60], [0, -5.0, 0, 20], [0, 0, 0, 1]])


def write_scans(folder: Path) -> None:
    """Write three labelled scans and, with its axes in another order, an unlabelled one."""
    for role, names in (("Tr", ["scan01", "scan02", "scan03"]), ("Ts", ["new"])):
        (folder / f"images{role}").mkdir(parents=True)
        for k, name in enumerate(names):
            image, label = scan(k)
            if role == "Tr":
                (folder / "labelsTr").mkdir(exist_ok=True)
                save(label * 3, np.diag([1.5, 1.5, 5.0, 1.0]), folder / "labelsTr" / f"{name}.nii.gz")
                save(image, np.diag([1.5, 1.5, 5.0, 1.0]), folder / "imagesTr" / f"{name}_0000.nii.gz")
            else:
                save(image.transpose(0, 2, 1), TILTED, folder / "imagesTs" / f"{name}_0000.nii.gz")
    labels = {"labels": {"background": 0, "infection": 3}, "channel_names": {"0": "CT"}, "file_ending": ".nii.gz"}
    (folder / "dataset.json").write_text(json.dumps(labels))


def save(array: np.ndarray, affine: np.ndarray, path: Path) -> None:
    nib.save(nib.Nifti1Image(array, affine), path)


def shown_block(after: str) -> str:
    """Return the first code block of the page after some words, so that what users copy is what is tested."""
    text = (ROOT / "docs/own-scans.md").read_text().split(after, 1)[1]
    found = re.search(r"```\w*\n(.*?)```", text, re.DOTALL)
    assert found
    return found.group(1)


def read(path: Path) -> list[dict[str, str]]:
    with open(path, newline="") as f:
        return list(csv.DictReader(f))


def test_the_file_that_the_page_shows_is_enough(tmp_path: Path) -> None:
    (tmp_path / "project").mkdir()
    project = copy_project(tmp_path / "project")
    write_scans(tmp_path / "scans")
    paper = shown_block("## The paper file by hand")
    assert "folder: /data/our-scans" in paper
    assert len(paper.splitlines()) == 10
    paper = paper.replace("epochs: 150", "epochs: 3")  # a user's own epochs are taken as written; these are a test's
    workflow = project.folder / "workflow"
    (workflow / "papers" / "mine.yaml").write_text(paper.replace("/data/our-scans", str(tmp_path / "scans")))
    (workflow / "presets" / "small.yaml").write_text(f"{SMALL}rounds: 1\n")
    config = ["--config", "mode=paper", "papers=[mine]", "preset=small"]
    project.snakemake("--quiet", "all", *config)
    results, data = project.folder / "results" / "paper", project.folder / "data" / "paper"

    rows = {row["column"]: row for row in read(results / "tables/mine/1.csv") if row["protocol"] == "standard"}
    assert 0 <= float(rows["Dice"]["ours"]) <= 1
    assert rows["Dice"]["slices"] == "9"  # three scans of three slices, each tested once
    assert "split mine-folds-3" in (results / "tables/mine/1.md").read_text()

    lines = (data / "splits/mine-folds-3.csv").read_text().splitlines()[1:]
    split = [(row["case"], row["role"]) for row in csv.DictReader(lines)]
    assert sorted(split) == [(f"scan0{k}", role) for k in (1, 2, 3) for role in ("test", "train", "val")]

    slices = read(data / "canonical/mine/slices.csv")
    assert {(row["case"], row["role"]) for row in slices} == {
        ("new", "unlabelled"), ("scan01", "train"), ("scan02", "train"), ("scan03", "train"),
    }  # fmt: skip
    assert {(row["dz"], row["dy"], row["dx"]) for row in slices if row["case"] == "new"} == {("5.0", "1.25", "1.5")}

    masks = results / "masks/mine/ours"
    assert sorted(path.name for path in masks.iterdir()) == [
        "masks.json", "new.nii.gz", "scan01.nii.gz", "scan02.nii.gz", "scan03.nii.gz", "volumes.csv", "written.jsonl",
    ]  # fmt: skip
    volumes = {row["case"]: row for row in read(masks / "volumes.csv")}
    assert {case: row["models"] for case, row in volumes.items()} == {
        "new": "3", "scan01": "1", "scan02": "1", "scan03": "1",
    }  # fmt: skip
    for case, row in volumes.items():
        image = next((tmp_path / "scans").glob(f"images*/{case}_0000.nii.gz"))
        mask, scanned = nib.load(masks / f"{case}.nii.gz"), nib.load(image)
        assert mask.shape == scanned.shape
        assert np.array_equal(mask.affine, scanned.affine)
        voxels = np.asarray(mask.dataobj)
        assert voxels.dtype == np.uint8
        assert set(np.unique(voxels)) <= {0, 3}
        ml = np.count_nonzero(voxels) * (5 * 1.25 * 1.5 if case == "new" else 5 * 1.5 * 1.5) / 1000
        assert float(row["lesion_ml"]) == pytest.approx(ml, abs=1e-4)
        assert float(row["lung_ml"]) > 20
    made = json.loads((results / "runs/mine/ours/fold0-seed0/run.json").read_text())
    assert [line["pseudo"] for line in made["rounds"]] == [0, 1]  # a fifth of 3 slices: 1
    assert made["rounds"][1]["pool"] == 3
    assert (results / "figures/mine/1.pdf").read_bytes().startswith(b"%PDF")
    truth = np.count_nonzero(scan(0)[1])
    assert float(volumes["scan01"]["true_lesion_ml"]) == pytest.approx(truth * 5 * 1.5 * 1.5 / 1000, abs=1e-4)
    assert volumes["new"]["true_lesion_ml"] == ""
    assert "Masks of whole scans, mine/ours" in (results / "report/paper-mine.html").read_text()
    assert (results / "report/masks/mine-ours/montage.png").read_bytes().startswith(b"\x89PNG")

    # a record that was edited is refused by name, and the masks are made again
    record = json.loads((masks / "masks.json").read_text())
    record["made_from"]["models"]["fold0-seed0"] = "0"
    (masks / "masks.json").write_text(json.dumps(record))
    snapshot = max((results / "configs").glob("*.yaml"), key=lambda path: path.stat().st_mtime)
    said = project.run("covidseg", "--config", str(snapshot), "report", fails=True)
    assert "masks.json: damaged (not what was written); run covidseg repair" in said
    project.run("covidseg", "--config", str(snapshot), "masks", "mine/ours")
    assert json.loads((masks / "masks.json").read_text())["made_from"]["models"]["fold0-seed0"] != "0"
