"""A small project that is run step by step in the test's own process: 20 made scans, two networks, one epoch each."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
import yaml

from covidseg import steps
from covidseg.base.files import write_text
from covidseg.data import canonical, splits
from covidseg.data.canonical import Case
from covidseg.plan import Plan

DATASET = "covid-ct-seg"
PAPER: dict[str, Any] = {
    "paper": {"title": "A small paper"},
    "protocol": "standard",
    "defaults": {
        "dataset": DATASET,
        "split": "ma5",
        "classes": ["infection"],
        "input": {"size": 32, "mode": "slice+lung"},
        "net": {"name": "unet", "width": 0.0625},
        "losses": {"cross_entropy": {}},
        "train": {"epochs": 1},
    },
    "runs": {"plain": {}},
}
TESTED = ["coronacases_007", "coronacases_008", "radiopaedia_36_86526_0", "radiopaedia_4_85506_1"]


def scans(names: Sequence[str]) -> list[Case]:
    """Return scans of two slices in noise, of voxels of 10 cubic millimetres; the second shows an infection of 20
    voxels, in those of ``TESTED`` of 20, 40, 60 and 80.
    """
    rng = np.random.default_rng(0)
    return [
        Case(
            name, name, "labelled", rng.integers(0, 256, (2, 32, 32), np.uint8), truth(name), truth(name) * 0 + 1,
            spacing=(5.0, 1.0, 2.0), affine=np.diag([-2.0, -1.0, 5.0, 1.0]), axcodes="LPS",
        )
        for name in names
    ]  # fmt: skip


def truth(name: str) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Return the labels of a scan."""
    label = np.zeros((2, 32, 32), np.uint8)
    rows = 4 * (TESTED.index(name) + 1) if name in TESTED else 4
    label[1, :rows, :5] = 1
    return label


@contextmanager
def project(root: Path, paper: dict[str, Any], dataset: Mapping[str, Any] = MappingProxyType({})) -> Iterator[Plan]:
    """Work in a project of one paper, ``two``, and one fold, with data; nothing is trained yet.

    ``dataset``: keys of the data set's file that are to be others.
    """
    shutil.copytree("workflow", root / "workflow")
    write_text(root / "workflow/papers/two.yaml", yaml.safe_dump(paper, sort_keys=False))
    write_text(root / "workflow/presets/tiny.yaml", "about: one fold\nfolds: 1\nthreads: 1\n")
    if dataset:
        file = root / f"workflow/datasets/{DATASET}.yaml"
        write_text(file, yaml.safe_dump(yaml.safe_load(file.read_text()) | dict(dataset)))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        plan = Plan.load({"mode": "paper", "preset": "tiny", "papers": ["two"]})
        fold = splits.read(plan.catalogue.split_path("ma5"))
        names = [name for role in ("train", "val", "test") for name in fold.cases(0, role)]
        canonical.write(scans(names), plan.dataset(DATASET), plan.paths.canonical(DATASET))
        steps.lungs(plan, DATASET)
        steps.tensors(plan, DATASET, 32)
        yield plan
