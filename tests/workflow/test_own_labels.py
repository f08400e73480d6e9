"""Labels of a user's own scans: a label named lung is one, and a class that no case shows stops the training."""

import csv
import json

import h5py
import numpy as np
import pytest

from tests.conftest import copy_project
from tests.unit.data.small import write_nifti

PAPER = """\
paper: {title: Lungs}
dataset: {folder: FOLDER, lungs: threshold}
defaults:
  split: by-hand
  input: {size: 32, mode: slice}
  net: {name: unet, width: 0.125}
  losses: {dice: {}}
  train: {epochs: 1, batch: 2}
runs: {ours: {}}
tables:
  "1": {caption: Our scans, protocol: standard, metrics: {Dice: dice}, rows: [{label: Ours, run: ours}]}
"""


@pytest.fixture
def project(tmp_path):
    """Return a project of three scans with the label lung, of which the third shows none."""
    (tmp_path / "project").mkdir()
    project, scans = copy_project(tmp_path / "project"), tmp_path / "scans"
    for k, name in enumerate("abc"):
        image = np.full((32, 32, 4), 40, np.int16)
        image[8:16, 8:24] = -850
        mask = np.zeros((32, 32, 4), np.uint8)
        mask[8:16, 8 : 24 - k] = 2 if name != "c" else 0
        write_nifti(scans / "imagesTr" / f"{name}.nii.gz", image)
        write_nifti(scans / "labelsTr" / f"{name}.nii.gz", mask)
    (scans / "dataset.json").write_text(json.dumps({"labels": {"background": 0, "lung": 2}}))
    workflow = project.folder / "workflow"
    (workflow / "papers" / "mine.yaml").write_text(PAPER.replace("FOLDER", str(scans)))
    folds = ("0,a,train", "0,b,val", "0,c,test", "1,a,train", "1,c,val", "1,b,test")
    (workflow / "splits" / "by-hand.csv").write_text("\n".join(("fold,case,role", *folds)))
    project.edit("config.yaml", "mode: demo", "mode: paper")
    project.edit("config.yaml", "papers: [ssanet, infnet, jin, scoatnet, attnfusion]", "papers: [mine]")
    return project


def test_a_label_named_lung_is_a_label(project):
    verbs = ("import mine", "lungs mine", "tensors mine 32", "train mine/ours --fold 0", "train mine/ours --fold 1")
    said = project.verbs(*verbs)
    assert [code for code, _ in said.values()] == [0, 0, 0, 0, 2], said
    data = project.folder / "data" / "paper"
    with open(data / "canonical/mine/slices.csv", newline="") as f:
        assert [row["px_lung"] for row in csv.DictReader(f)] == ["128"] * 4 + ["120"] * 4 + ["0"] * 4
    made = json.loads((project.folder / "results/paper/runs/mine/ours/fold0-seed0/run.json").read_text())
    assert made["spec"]["classes"] == ["lung"]
    assert made["spec"]["values"] == {"lung": [2]}
    with h5py.File(data / "canonical/mine/lungs.h5") as masks:  # the pipeline's own masks are no labels
        assert masks["c/lung"][()].any()
    assert (
        said[verbs[-1]][1]
        .strip()
        .endswith(
            "mine/ours fold 1: class 'lung' has no pixel in the validation cases (c); "
            "correct their masks, or name another split: in which some case shows it"
        )
    )
