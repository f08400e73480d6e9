"""docs/own-scans.md, word for word: from a folder of NIfTI scans to the mask of a DICOM series in another folder."""

import csv
import re
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np

from tests.conftest import ROOT, SMALL, copy_project
from tests.dicoms import SECRET, write_series
from tests.workflow.test_own_data import save, scan, write_scans

PAGE = ROOT / "docs/own-scans.md"


def commands(scans: Path, patient: Path) -> list[list[str]]:
    """Return the page's commands; only the two folders that the reader has are put in."""
    blocks = re.findall(r"```sh\n(.*?)```", PAGE.read_text("utf-8"), re.S)
    text = "".join(blocks).replace("/data/our-scans", str(scans)).replace("/data/new-patient", str(patient))
    return [line.split() for line in text.splitlines()]


def test_the_tutorial(tmp_path: Path) -> None:
    (tmp_path / "project").mkdir()
    project = copy_project(tmp_path / "project")
    (project.folder / "workflow/presets/cpu.yaml").write_text(SMALL)  # a preset for a test's seconds
    write_scans(tmp_path / "scans")
    body = scan(3)[0].clip(-1024)  # once as a file among the run's own scans, once as DICOM with the same axes
    save(body, np.diag([1.5, 1.5, 5.0, 1.0]), tmp_path / "scans/imagesTs/again_0000.nii.gz")
    slices = np.ascontiguousarray(body.transpose(2, 1, 0))
    write_series(tmp_path / "patient", slices, (5.0, 1.5, 1.5), ImageOrientationPatient=[-1, 0, 0, 0, -1, 0])
    init, snakemake, show, export, predict = commands(tmp_path / "scans", tmp_path / "patient")

    said = project.run(*init)
    assert "scans: 3 labelled, 2 without a mask" in said
    assert "label infection = 3: in 3 of 3 masks" in said
    paper = project.folder / "workflow/papers/mine.yaml"  # whose epochs are taken as written: these are a test's
    paper.write_text(re.sub(r"epochs: \d+", "epochs: 3", paper.read_text()))
    project.run(*snakemake)
    results = project.folder / "results/paper"
    assert (results / "report.html").is_file()
    assert {path.name for path in (results / "masks/mine/ours").glob("*.nii.gz")} == {
        "scan01.nii.gz", "scan02.nii.gz", "scan03.nii.gz", "new.nii.gz", "again.nii.gz",
    }  # fmt: skip
    assert "mine, table 1" in project.run(*show)
    assert "3 trainings" in project.run(*export)

    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (project.folder / "model.safetensors").rename(elsewhere / "model.safetensors")
    environment = project.environment | {"PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(
        [sys.executable, "-m", *predict], cwd=elsewhere, env=environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    (mask,) = (elsewhere / "masks").glob("*.nii.gz")
    assert (elsewhere / "masks/montage.png").is_file()
    with open(elsewhere / "masks/volumes.csv", newline="") as f:
        (row,) = csv.DictReader(f)
    assert row["scan"] == mask.name.removesuffix(".nii.gz")
    assert SECRET not in str(row)
    assert "phantom" not in row["note"].lower()
    own = nib.load(results / "masks/mine/ours/again.nii.gz")
    theirs, ours = (np.asarray(image.dataobj) for image in (own, nib.load(mask)))
    assert set(np.unique(ours)) <= {0, 3}
    assert np.array_equal(ours, theirs)
