"""Masks of a run's scans from small stores, with a network that was trained for an epoch."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from covidseg import steps
from covidseg.base import csvfile, records
from covidseg.base.errors import UserError
from covidseg.base.files import write_text
from covidseg.data import canonical, splits
from covidseg.data.canonical import Case
from covidseg.inference import masks
from covidseg.plan import Plan

PAPER = """\
paper: {title: t}
defaults:
  dataset: covid-ct-seg
  split: ma5
  classes: [infection]
  input: {size: 32, mode: slice+lung}
  net: {name: unet, width: 0.0625}
  losses: {cross_entropy: {}}
  train: {epochs: 1}
runs: {plain: {}}
"""


RUN = "two/plain"
TESTED = ["coronacases_007", "coronacases_008", "radiopaedia_36_86526_0", "radiopaedia_4_85506_1"]


def scans(names: Sequence[str]) -> list[Case]:
    """Return scans of two slices in noise, with 20 voxels of 10 cubic millimetres of infection."""
    rng = np.random.default_rng(0)
    label = np.zeros((2, 32, 32), np.uint8)
    label[1, :4, :5] = 1
    return [
        Case(
            name, name, "labelled", rng.integers(0, 256, (2, 32, 32), np.uint8), label, np.ones_like(label),
            spacing=(5.0, 1.0, 2.0), affine=np.diag([-2.0, -1.0, 5.0, 1.0]), axcodes="LPS",
        )
        for name in names
    ]  # fmt: skip


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plan]:
    """Return a plan of one run, whose data lie in its folder and whose first fold is trained."""
    root = tmp_path_factory.mktemp("project")
    shutil.copytree("workflow", root / "workflow")
    write_text(root / "workflow/papers/two.yaml", PAPER)
    write_text(root / "workflow/presets/tiny.yaml", "about: one fold\nfolds: 1\nthreads: 1\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        plan = Plan.load({"mode": "paper", "preset": "tiny", "papers": ["two"]})
        fold = splits.read(plan.catalogue.split_path("ma5"))
        names = [name for role in ("train", "val", "test") for name in fold.cases(0, role)]
        canonical.write(scans(names), plan.dataset("covid-ct-seg"), plan.paths.canonical("covid-ct-seg"))
        steps.lungs(plan, "covid-ct-seg")
        steps.tensors(plan, "covid-ct-seg", 32)
        steps.train(plan, RUN, 0, 0)
        yield plan


@pytest.fixture
def out(plan: Plan) -> Path:
    """Return the folder of the run's masks, without any."""
    shutil.rmtree(folder := plan.paths.masks(RUN), ignore_errors=True)
    return folder


def quiet(line: str) -> None:
    """Say nothing."""


def test_scans_of_the_test_set_get_masks_and_volumes(plan: Plan, out: Path) -> None:
    said: list[str] = []
    masks.write(plan, RUN, said.append)
    assert said[0] == "two/plain: 7 of 20 scans, coronacases_007"
    rows = list(csvfile.read(out / "volumes.csv", lambda name: float if "ml" in name or "per" in name else str))
    assert [row["case"] for row in rows] == TESTED
    assert [row["true_lesion_ml"] for row in rows] == [0.2] * 4  # 20 voxels of 10 mm3
    for row in rows:
        mask: Any = nib.load(out / f"{row['case']}.nii.gz")
        assert np.array_equal(mask.affine, np.diag([-2.0, -1.0, 5.0, 1.0]))
        found = np.asarray(mask.dataobj)
        assert (found.shape, set(np.unique(found)) - {0, 1}) == ((32, 32, 2), set())
        assert row["ml_infection"] == row["lesion_ml"] == round(found.sum() * 10 / 1000, 3)
    record = records.read(out / "masks.json")
    assert record["labels"] == {"infection": 1}
    assert (len(record["left_out"]), {*record["left_out"]} & {*TESTED}) == (16, set())
    assert {*record["sha256"]} == {"volumes.csv", *(f"{name}.nii.gz" for name in TESTED)}
    assert 0 <= record["seconds"] < 60
    assert not (out / "done.jsonl").exists()


def test_killed_it_goes_on_with_the_next_scan_and_is_not_finished_before(
    plan: Plan, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    masks.write(plan, RUN, quiet)
    whole = {path.name: path.read_bytes() for path in out.iterdir() if path.suffix in (".gz", ".csv")}
    (out / "coronacases_007.nii.gz").unlink()

    def stop(line: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        masks.write(plan, RUN, stop)
    assert not (out / "masks.json").exists()
    assert (out / "done.jsonl").exists()
    seen: list[int] = []
    predicted = masks.predicted
    monkeypatch.setattr(masks, "predicted", lambda *given: (seen.append(1), predicted(*given))[1])
    masks.write(plan, RUN, quiet)
    assert len(seen) == 3
    assert {path.name: path.read_bytes() for path in out.iterdir() if path.suffix in (".gz", ".csv")} == whole


@contextmanager
def imported(plan: Plan, names: Sequence[str]) -> Iterator[None]:
    """Let a store of fewer scans stand in the place of the whole one."""
    store = plan.paths.canonical("covid-ct-seg")
    kept = store.rename(store.with_name("kept"))
    try:
        canonical.write(scans(names), plan.dataset("covid-ct-seg"), store)
        steps.lungs(plan, "covid-ct-seg")
        yield
    finally:
        shutil.rmtree(store)
        kept.rename(store)


def test_masks_of_scans_that_are_gone_go_and_those_of_others_stay(plan: Plan, out: Path) -> None:
    masks.write(plan, RUN, quiet)
    (out / "radiologist.nii.gz").write_bytes(b"drawn by hand")
    names = {path.name for path in out.iterdir()}
    with imported(plan, TESTED[:1]):
        masks.write(plan, RUN, quiet)
    assert {path.name for path in out.iterdir()} == names - {f"{name}.nii.gz" for name in TESTED[1:]}
    assert [row["case"] for row in csvfile.read(out / "volumes.csv", lambda name: str)] == TESTED[:1]


def test_models_that_trained_on_every_scan_mask_none(plan: Plan, out: Path) -> None:
    said = "^two/plain: its models trained on every scan; add unlabelled scans"
    with imported(plan, ["coronacases_001", "coronacases_002"]), pytest.raises(UserError, match=said):
        masks.write(plan, RUN, quiet)
