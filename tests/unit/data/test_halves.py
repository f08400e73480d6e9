"""Half slices, phantoms with healthy slices, lung masks of medseg-2, and data sets that share files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from covidseg.base.errors import UserError
from covidseg.data import canonical, importers, phantom, splits
from covidseg.data.canonical import Store, read_table
from covidseg.data.importers.png_halves import halves, midline
from covidseg.data.phantom import layouts
from covidseg.plan import Plan
from tests.unit.data.small import WORKFLOW, dataset, own, write_nifti


def test_the_midline_lies_between_the_lungs() -> None:
    lung = np.zeros((1, 2, 12), np.uint8)
    lung[0, :, 1:5] = lung[0, :, 7:9] = 1  # of columns 4 to 7 of the middle third, 5 and 6 show no lung
    assert midline(lung) == 6
    lung[0, :, 5] = lung[0, :, 6] = 1
    lung[0, :, 8] = 0  # of the last third
    lung[0, 0, 4] = 0
    assert midline(lung) == 4


def test_both_halves_end_at_the_midline_and_nothing_is_lost_or_filled_up() -> None:
    row = np.arange(1, 9, dtype=np.uint8)[None, None]
    right, left = halves(row, 3)
    assert right.tolist() == [[[1, 2, 3]]]
    assert left.tolist() == [[[8, 7, 6, 5, 4]]]  # mirrored


def test_real_halves_have_true_negatives(shared_data: Path, tmp_path: Path) -> None:
    data = dataset("zenodo20-halves")
    canonical.write(importers.cases(shared_data / "zenodo20-slices", data), data, tmp_path)
    rows = list(read_table(tmp_path / "slices.csv"))
    assert len(rows) == 2 * 1614
    healthy = sum(not row["px_infection"] for row in rows)
    assert healthy == 691
    cases = {row["case"] for row in rows}
    for name in ("attnfusion-zenodo20", "attnfusion-5-zenodo20"):
        assert set(splits.read(WORKFLOW / "splits" / f"{name}.csv").names) == cases


def test_the_hold_out_is_the_first_of_five_folds_and_leaves_nobody_out() -> None:
    one, five = (splits.read(WORKFLOW / "splits" / f"{name}.csv") for name in ("attnfusion", "attnfusion-5"))
    assert one.cases(0, "test") == five.cases(0, "test")
    cases = {*map(str, range(100)), *(f"volume_{k}" for k in range(1, 10))}
    tested = [case for fold in range(5) for case in five.cases(fold, "test")]
    assert sorted(tested) == sorted(cases)
    for fold in range(5):
        assert {*five.cases(fold, "train"), *five.cases(fold, "test")} == cases
        assert len([case for case in five.cases(fold, "test") if case.isdecimal()]) == 20


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the store of the twin of medseg-2-all, small."""
    root = tmp_path_factory.mktemp("whole")
    data = dataset("medseg-2-all")
    assert data.phantom is not None
    data = data.model_copy(update={"phantom": data.phantom.model_copy(update={"size": 64})})
    phantom.write("medseg-2-all", data, root / "raw")
    canonical.write(importers.cases(root / "raw", data), data, root)
    return root


def test_half_of_the_healthy_slices_lie_in_the_middle(whole: Path) -> None:
    rows = [row for row in read_table(whole / "slices.csv") if row["case"] == "volume_1"]
    assert len(rows) == 16
    healthy = [not (row["px_ggo"] + row["px_consolidation"]) for row in rows]
    assert sum(healthy) == 9  # eight more, and one at an end as before
    sick = [k for k, none in enumerate(healthy) if not none]
    between = sum(healthy[sick[0] : sick[-1]])
    assert between >= 4


def test_healthy_slices_change_no_other(tmp_path: Path) -> None:
    """The twins of medseg-2 and of medseg-2-all have the same slices with lesion, pixel by pixel."""
    images = []
    for name in ("medseg-2", "medseg-2-all"):
        data = dataset(name)
        assert data.phantom is not None
        plans = layouts.volume_plans((3, 0), 4, 1.0, 1, data.phantom.healthy)
        small = data.phantom.model_copy(update={"size": 32, "slices": 4})
        images.append([scan.hu for scan in layouts._maker(small, plans) if scan.plan.position < 4])
    for ours, theirs in zip(*images, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_lung_masks_that_were_fetched_are_read(tmp_path: Path) -> None:
    image = np.zeros((4, 4, 2), np.int16)
    image[0, 0, 0] = -1000
    mask = np.zeros((4, 4, 2), np.uint8)
    mask[1, 1] = 1, 2  # the right and the left lung
    write_nifti(tmp_path / "rp_im" / "1.nii.gz", image)
    for folder, array in (("rp_msk", 0 * mask), ("rp_lung_msk", mask)):  # whose headers say another place, as published
        write_nifti(tmp_path / folder / "1.nii.gz", array, np.diag([-1, -1, 5, 1]))
    data = own(importer="medseg_volumes", classes={"ggo": 1}, window=(-1250, 250))
    canonical.write(importers.cases(tmp_path, data), data, tmp_path / "store")
    with Store(tmp_path / "store") as store:
        lung = store.lung("volume_1")
    assert lung is not None
    assert (int(lung.sum()), int(lung.max())) == (2, 1)


def test_a_data_set_with_the_files_of_another_is_not_fetched() -> None:
    from covidseg import steps

    plan = Plan.load({"mode": "paper", "preset": "full"})
    assert plan.catalogue.files_of("zenodo20-halves") == "zenodo20-slices"
    assert [path.parent.name for path in plan.graph.imported_from("medseg-2-all")] == ["medseg-2"]
    with pytest.raises(UserError, match=r"^zenodo20-halves: has no files of its own; fetch zenodo20-slices"):
        steps.fetch(plan, "zenodo20-halves")
    demo = Plan.load({})  # whose twins have files of their own
    assert [path.parent.name for path in demo.graph.imported_from("medseg-2-all")] == ["medseg-2-all"]
