"""What one thing costs: a paper of which every part is new takes one file per part, and goes from files to a table.

Ten kinds of things, ten new files, no other file of the program changed. Run it by itself to see the count:
``python -m pytest -s tests/workflow/test_one_file.py``.
"""

import filecmp
import sys
from pathlib import Path

import h5py
import numpy as np

from covidseg.base import csvfile
from tests.conftest import ROOT, copy_project
from tests.unit.metrics.test_measures import NEW as MEASURE
from tests.unit.metrics.test_measures import PROTOCOL
from tests.unit.plan.test_one_file import LOSS, NET
from tests.unit.schema.test_kinds import FIGURE, TABLE

IMPORTER = """
import numpy as np

from covidseg.data.canonical import Case


def cases(raw, dataset):
    for path in sorted(raw.glob("*.npz")):
        found = np.load(path)
        yield Case(path.stem, path.stem, "labelled", found["image"], found["label"])
"""
LUNGS = """
SOURCE = {"network": False, "weights": None, "run": None, "in_demo": "none", "any_scan": True}


def predictor(request):
    def left_half(image, spacing):
        mask = image * 0
        mask[..., : image.shape[-1] // 2] = 1
        return mask

    return left_half
"""
METHOD = '''
from typing import Any, ClassVar, Literal

from covidseg.schema.base import Positive
from covidseg.schema.training import Training


class ToldTwice(Training):
    """Plain training that says in its record how often it was told."""

    method: Literal["told_twice"]
    times: Positive = 2

    @property
    def leaves_unlabelled(self) -> bool:
        return False


def train(job: Any, progress: Any) -> dict[str, Any]:
    from covidseg.train.methods import supervised

    return supervised.train(job, progress) | {"told": job.spec.train.times}
'''
FILES = {
    "network": ("src/covidseg/nets/one_layer.py", NET),
    "loss": ("src/covidseg/losses/absolute.py", LOSS),
    "measure": ("src/covidseg/metrics/measures/rows.py", MEASURE),
    "protocol": ("workflow/protocols/mine.yaml", PROTOCOL),
    "importer": ("src/covidseg/data/importers/npz_files.py", IMPORTER),
    "training method": ("src/covidseg/train/methods/told_twice.py", METHOD),
    "lung source": ("src/covidseg/lungs/sources/left_half.py", LUNGS),
    "figure kind": ("src/covidseg/figures/kinds/dots.py", FIGURE),
    "table kind": ("src/covidseg/tables/kinds/sizes.py", TABLE),
    "preset": ("workflow/presets/mine.yaml", "{about: for a test, size: 32, threads: 1}"),
}
DATASET = """
title: Mine
about: made here
licence: none
importer: npz_files
folder: scans
classes: {infection: 1}
lungs: left_half
"""
PAPER = """
paper: {title: Mine}
defaults:
  dataset: mine
  split: folds-2
  classes: [infection]
  input: {size: 32, mode: masked}
  net: {name: one_layer}
  losses: {absolute: {}}
  train: {method: told_twice, epochs: 1, batch: 2}
runs: {m1: {}}
tables:
  "1": {caption: Mine, protocol: mine, metrics: {Rows: rows}, rows: [{label: One layer, run: m1}]}
  "2": {kind: sizes, caption: Sizes, of: [mine]}
figures: {"1": {kind: dots, caption: Dots, of: m1}}
"""
CONFIG = "{mode: paper, preset: mine, papers: [mine], only: [mine/m1], folds: [0], device: cpu}"
WALK = """
from pathlib import Path

from covidseg import steps
from covidseg.jobs import record
from covidseg.plan import Plan

plan = Plan.load(Path("config.yaml"))
steps.import_(plan, "mine")
steps.lungs(plan, "mine")
steps.tensors(plan, "mine", 32)
steps.split(plan, "mine-folds-2")
steps.leaks(plan, "mine", "mine-folds-2")
steps.train(plan, "mine/m1", 0, 0)
steps.score(plan, "mine/m1")
steps.table(plan, "mine", "1")
steps.table(plan, "mine", "2")
steps.figure(plan, "mine", "1")
print("told", record.read(plan.paths.job("mine/m1", 0, 0) / "run.json")["told"])
print("modules", *plan.fingerprints.train_modules(plan.run("mine/m1").spec))
"""


def test_every_part_of_a_new_paper_is_one_file(tmp_path: Path) -> None:
    project = copy_project(tmp_path)
    for path, text in FILES.values():
        (tmp_path / path).write_text(text)
    assert added(tmp_path) == sorted(path for path, _ in FILES.values())
    print(*(f"{kind}: 1 file" for kind in FILES), sep="\n")
    (tmp_path / "workflow/datasets/mine.yaml").write_text(DATASET)
    (tmp_path / "workflow/papers/mine.yaml").write_text(PAPER)
    (tmp_path / "config.yaml").write_text(CONFIG)
    (tmp_path / "scans").mkdir()
    image = np.tile(np.linspace(0, 255, 32).astype(np.uint8), (2, 32, 1))
    for k in range(4):
        np.savez(tmp_path / f"scans/{k}.npz", image=image, label=(image > 100 + k).astype(np.uint8))
    said = project.run(sys.executable, "-c", WALK)
    assert "told 2\n" in said
    assert "modules train.methods.told_twice nets.one_layer losses.absolute\n" in said
    with h5py.File(tmp_path / "data/paper/canonical/mine/lungs.h5") as masks:
        assert masks["0/lung"][:].mean() == 0.5
    results = tmp_path / "results/paper"
    assert "| One layer |" in (results / "tables/mine/1.md").read_text()
    assert "| mine | 128 |" in (results / "tables/mine/2.md").read_text()
    assert (results / "figures/mine/1.png").stat().st_size > 1000
    assert {"rows", "dice"} <= set(csvfile.header(results / "runs/mine/m1/cases.csv"))
    (tmp_path / "workflow/datasets/mine.yaml").write_text(DATASET.replace("npz_files", "npz_file"))
    assert "importer: unknown name 'npz_file'; did you mean 'npz_files'?" in project.refused("show")[0]


def added(copy: Path) -> list[str]:
    """Return the files of a copy that the project does not have. None may differ from the project's."""
    found = []
    for folder in ("src", "workflow"):
        for path in sorted((copy / folder).rglob("*")):
            ours = ROOT / path.relative_to(copy)
            if path.is_file() and "__pycache__" not in path.parts:
                if not ours.exists():
                    found.append(str(path.relative_to(copy)))
                else:
                    assert filecmp.cmp(path, ours, shallow=False), path
    return sorted(found)
