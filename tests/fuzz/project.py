"""A small project whose every step has run, in this process: what the files are, and what is made of them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np

from covidseg import steps
from covidseg.plan import Plan
from tests.conftest import ROOT

PAPER = """\
paper: {title: Ours}
dataset: {folder: scans, lungs: threshold, classes: [infection]}
protocol: standard
defaults:
  classes: [infection]
  split: folds-2
  input: {size: 32, mode: slice+lung}
  net: {name: unet, width: 0.0625}
  losses: {dice: {}}
  train: {epochs: 1, batch: 4, optimizer: {lr: 0.01}}
runs:
  a: {}
  b: {losses: {dice: {weight: 2.0}}}
masks: [a]
tables:
  one:
    caption: One
    metrics: {Dice: dice, HD95: hd95}
    rows: [{label: A, run: a, printed: [0.5, 3.0]}, {label: B, run: b, printed: [0.6, 2.0]}]
claims:
  - {id: b-helps, says: B helps, where: here, better: b, than: a, metric: dice, by: 0.1}
"""
CONFIG = {"mode": "paper", "preset": "small", "papers": ["mine"], "device": "cpu"}
PRESET = "about: fits a test\nthreads: 1\n"
STRANGER = "notes of a reader.txt"
RUNS, NAMES, SIZE = ("mine/a", "mine/b"), ("s1", "s2", "s3", "s4"), 32


def scan(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return HU and labels (32, 32, 2): 1 infection, 2 lung."""
    random = np.random.default_rng(seed)
    x, y = np.mgrid[:SIZE, :SIZE]
    hu, label = np.full((SIZE, SIZE), 40.0), np.zeros((SIZE, SIZE), np.uint8)
    inside = (x - 16) ** 2 + (y - 16) ** 2 < 120
    lesion = (x - random.integers(12, 20)) ** 2 + (y - 16) ** 2 < 16
    hu[inside], hu[lesion], label[inside], label[lesion] = -850, -100, 2, 1
    volume = np.repeat(hu[..., None], 2, 2) + random.normal(0, 20, (SIZE, SIZE, 2))
    return volume.astype(np.int16), np.repeat(label[..., None], 2, 2)


def make(folder: Path) -> None:
    """Write the scans and settings into the working directory ``folder`` and do every step."""
    shutil.copytree(ROOT / "workflow", folder / "workflow")
    (folder / "workflow/papers/mine.yaml").write_text(PAPER)
    (folder / "workflow/presets/small.yaml").write_text(PRESET)
    affine = np.diag([1.5, 1.5, 5.0, 1.0])
    for k, name in enumerate(NAMES):
        image, label = scan(k)
        for array, path in ((image, f"imagesTr/{name}_0000.nii.gz"), (label, f"labelsTr/{name}.nii.gz")):
            (folder / "scans" / path).parent.mkdir(parents=True, exist_ok=True)
            nib.save(nib.Nifti1Image(array, affine), folder / "scans" / path)  # type: ignore[attr-defined]
    labels = {"labels": {"background": 0, "infection": 1, "lung": 2}, "file_ending": ".nii.gz"}
    (folder / "scans/dataset.json").write_text(json.dumps(labels))
    for path in (folder / "scans", folder / "scans/imagesTr", folder / "scans/labelsTr"):
        (path / STRANGER).write_text("not ours")  # before the import, which names what it leaves out
    plan = load()
    for step in (*importing(plan), *splitting(plan), *cutting(plan), *training(plan), *scoring(plan), *showing(plan)):
        step()
    for step in (*masking(plan), *reporting(plan)):
        step()


def load() -> Plan:
    """Return the plan of the working directory."""
    return Plan.load(CONFIG)


Steps = list[Callable[[], object]]


def importing(plan: Plan) -> Steps:
    return [lambda: steps.import_(plan, "mine"), lambda: steps.lungs(plan, "mine")]


def splitting(plan: Plan) -> Steps:
    return [lambda: steps.split(plan, "mine-folds-2")]


def cutting(plan: Plan) -> Steps:
    return [lambda: steps.tensors(plan, "mine", SIZE)]


def training(plan: Plan) -> Steps:
    return [lambda run=run, fold=fold: steps.train(plan, run, fold, 0) for run in RUNS for fold in (0, 1)]


def one_training(plan: Plan) -> Steps:
    return [lambda: steps.train(plan, "mine/a", 0, 0)]


def scoring(plan: Plan) -> Steps:
    return [lambda run=run: steps.score(plan, run) for run in RUNS]


def showing(plan: Plan) -> Steps:
    return [
        lambda: steps.leaks(plan, "mine", "mine-folds-2"),
        lambda: steps.table(plan, "mine", "one"),
        lambda: steps.claims(plan, "mine"),
    ]


def masking(plan: Plan) -> Steps:
    return [lambda: steps.masks(plan, "mine/a"), lambda: steps.export(plan, "mine/a", Path("results/a.covidseg"))]


def reporting(plan: Plan) -> Steps:
    return [lambda: steps.report(plan)]
