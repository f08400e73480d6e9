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
from covidseg.data import canonical
from covidseg.inference import masks
from covidseg.plan import Plan
from tests.unit.small_project import DATASET, PAPER, TESTED, project, scans

RUN = "two/plain"


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plan]:
    """Return the plan of a project whose only run is trained."""
    with project(tmp_path_factory.mktemp("project"), PAPER) as plan:
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
    assert [row["true_lesion_ml"] for row in rows] == [0.2, 0.4, 0.6, 0.8]  # 20 to 80 voxels of 10 mm3
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
    store = plan.paths.canonical(DATASET)
    kept = store.rename(store.with_name("kept"))
    try:
        canonical.write(scans(names), plan.dataset(DATASET), store)
        steps.lungs(plan, DATASET)
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
