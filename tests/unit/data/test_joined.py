"""A data set that joins others is its parts: arrays, masks, tensors, counts."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from covidseg.base.errors import UserError
from covidseg.data import canonical, importers, splits, tensors
from covidseg.data.canonical import Case, Store, read_table
from covidseg.lungs import write_masks
from tests.unit.data.small import WORKFLOW, dataset, own, twin

PARTS = ("medseg-1", "medseg-2")


@pytest.fixture(scope="module")
def joined(twins: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the stores, lung masks and 64 x 64 tensors of Dataset3 and its parts."""
    root = tmp_path_factory.mktemp("joined")
    whole = dataset("dataset3").model_copy(update={"crop": twin("medseg-2").crop})
    for name, data in [*((part, twin(part)) for part in PARTS), ("dataset3", whole)]:
        if data.joins:
            canonical.write(importers.cases(root, data), data, root / name)
            write_masks(root / name, root / name / "lungs.h5", "labels", None)
        else:
            shutil.copytree(twins / name, root / name)
            write_masks(root / name, root / name / "lungs.h5", "dark", lambda image, _: (image < 90).astype(np.uint8))
        tensors.build(root / name, data, 64, root / name / "lungs.h5", root / name / "64")
    return root


def test_the_store_holds_what_the_parts_hold(joined: Path) -> None:
    with Store(joined / "dataset3") as store, Store(joined / "dataset3" / "lungs.h5") as masks:
        cases = []
        for part in PARTS:
            with Store(joined / part) as its, Store(joined / part / "lungs.h5") as its_masks:
                cases += its.cases()
                for case in its.cases():
                    np.testing.assert_array_equal(store.image(case), its.image(case))
                    np.testing.assert_array_equal(store.label(case), its.label(case))
                    np.testing.assert_array_equal(masks.lung(case), its_masks.lung(case))
                    ours, theirs = store.attrs(case), its.attrs(case)
                    assert ours.keys() == theirs.keys()
                    for key, value in theirs.items():
                        np.testing.assert_array_equal(ours[key], value)
        assert store.cases() == sorted(cases)
        assert len(cases) == 119  # 100 slices, 10 unlabelled ones, 9 volumes
        assert store.attrs("volume_9").keys() >= {"affine", "axcodes", "spacing"}
    rows, of_parts = (
        [{key: repr(value) for key, value in row.items() if key != "px_lung"} for row in table]
        for table in (
            read_table(joined / "dataset3" / "slices.csv"),
            [row for part in PARTS for row in read_table(joined / part / "slices.csv")],
        )
    )
    assert rows == of_parts


def test_tensors_are_those_of_the_parts_one_after_the_other(joined: Path) -> None:
    whole, *parts = (tensors.load(joined / name / "64") for name in ("dataset3", *PARTS))
    for key in ("image", "lung", "label"):
        np.testing.assert_array_equal(getattr(whole, key), np.concatenate([getattr(part, key) for part in parts]))
    for key in set(whole.columns) - {"index"}:
        assert list(map(repr, whole.columns[key])) == [repr(v) for part in parts for v in part.columns[key]]
    # 158 pixels are cropped to 128 round the lungs of each volume, 128 stay whole
    sizes = set(zip(whole.columns["native_height"], whole.columns["height"], strict=True))
    assert sizes == {(128, 128), (158, 128)}
    windows = set(zip(whole.columns["case"], whole.columns["top"], whole.columns["left"], strict=True))
    assert len({window[1:] for window in windows}) > 2
    assert len(windows) == 108 + 9  # one a case


def test_slices_that_count_show_ggo_or_consolidation(joined: Path) -> None:
    table = list(read_table(joined / "dataset3" / "slices.csv"))
    shown = {
        row["slice"]: (row["px_ggo"] + row["px_consolidation"], row["px_effusion"])
        for row in table
        if row["role"] == "labelled"
    }
    only_effusion = [name for name, (lesion, effusion) in shown.items() if effusion and not lesion]
    assert only_effusion == ["volume_8/007"]
    kept = tensors.load(joined / "dataset3" / "64").columns
    labelled = [name for name, role in zip(kept["slice"], kept["role"], strict=True) if role == "labelled"]
    assert labelled == [name for name, (lesion, _) in shown.items() if lesion]
    assert len(labelled) == 98 + 63
    # with any class, as a radiologist marks them, there is one more
    tensors.build(
        joined / "dataset3", dataset("dataset3").model_copy(update={"keep": "lesion"}), 16, None, joined / "t"
    )
    assert len(tensors.load(joined / "t")) == len(kept["slice"]) + 1


@pytest.mark.parametrize(("split", "slices"), [
    ("dataset3-paper", {"train": 98, "val": 63, "test": 63}),
    ("dataset3-clean", {"train": 98, "val": 21, "test": 42}),
])  # fmt: skip
def test_its_splits_use_every_slice_that_counts(joined: Path, split: str, slices: dict[str, int]) -> None:
    table = splits.read(WORKFLOW / "splits" / f"{split}.csv")
    columns = tensors.load(joined / "dataset3" / "64").columns
    cases = [case for case, role in zip(columns["case"], columns["role"], strict=True) if role == "labelled"]
    sides = {role: set(table.cases(0, role)) for role in splits.ROLES}
    assert set(cases) == set.union(*sides.values())
    assert {role: sum(case in side for case in cases) for role, side in sides.items()} == slices


def small_part(root: Path, name: str, *cases: str) -> None:
    image = np.zeros((1, 4, 4), np.uint8)
    canonical.write([Case(case, case, "train", image, image) for case in cases], own(), root / name)
    write_masks(root / name, root / name / "lungs.h5", "none", None)


def test_a_name_in_two_parts_is_refused(tmp_path: Path) -> None:
    small_part(tmp_path, "one", "a", "b")
    small_part(tmp_path, "two", "c", "b")
    data = own(title="both", importer="joined", joins=["one", "two"])
    with pytest.raises(UserError, match=r"^both: case 'b' stands in one and in two; rename it in one of them$"):
        canonical.write(importers.cases(tmp_path, data), data, tmp_path / "both")
    assert list((tmp_path / "both").iterdir()) == []


def test_parts_without_lung_masks_make_a_whole_without(tmp_path: Path) -> None:
    small_part(tmp_path, "one", "a")
    small_part(tmp_path, "two", "b")
    data = own(importer="joined", joins=["one", "two"])
    canonical.write(importers.cases(tmp_path, data), data, tmp_path / "both")
    with Store(tmp_path / "both") as store:
        assert (store.cases(), store.lung("a")) == (["a", "b"], None)
