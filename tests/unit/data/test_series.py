"""Follow-up series: days and patients from file names, and phantoms whose lesions follow their courses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from covidseg import schema
from covidseg.base.errors import UserError
from covidseg.data import canonical, importers, phantom, slabs
from tests.unit.data.small import write_nifti

DATASET = Path(__file__).parents[3] / "workflow" / "datasets" / "covid-19-ct-series.yaml"


def series() -> schema.Dataset:
    return schema.load(schema.Dataset, DATASET)


def scan(path: Path, value: int = -500) -> None:
    write_nifti(path, np.full((4, 5, 3), value, np.int16))


def names(raw: Path) -> list[tuple[str, str, int | None, str, bool]]:
    return [(c.name, c.patient, c.day, c.role, c.label is None) for c in importers.cases(raw, series())]


def test_patients_and_days_come_from_the_names(tmp_path: Path) -> None:
    for name in ("volume-covid19-A-0721_day008", "volume-covid19-A-0721_day2", "volume-covid19-A-0011_day100"):
        scan(tmp_path / "scans" / f"{name}.nii.gz")
    write_nifti(tmp_path / "masks" / "volume-covid19-A-0721_day008.nii.gz", np.ones((4, 5, 3), np.uint8))
    assert names(tmp_path) == [
        ("volume-covid19-A-0011_day100", "volume-covid19-A-0011", 100, "unlabelled", True),
        ("volume-covid19-A-0721_day002", "volume-covid19-A-0721", 2, "unlabelled", True),
        ("volume-covid19-A-0721_day008", "volume-covid19-A-0721", 8, "labelled", False),
    ]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (["scans/a_day001.nii.gz", "scans/a.nii.gz"], "a.nii.gz: no day in the name; expected NAME_dayNNN.nii.gz"),
        (
            ["scans/a_day1.nii.gz", "scans/a_day001.nii.gz"],
            "a_day1.nii.gz: day 1 of a is there twice, also as a_day001",
        ),
        (["scans/x/a_day1.nii.gz", "scans/y/a_day2.nii.gz"], "a_day2.nii.gz: a is also in "),
        (["scans/a_day1.nii.gz", "masks/a_day2.nii.gz"], "a_day2.nii.gz: a mask without a scan"),
        (["masks/a_day2.nii.gz"], "scans: no .nii.gz or .nii files"),
    ],
)
def test_series_that_are_refused(files: list[str], message: str, tmp_path: Path) -> None:
    for file in files:
        scan(tmp_path / file)
    with pytest.raises(UserError) as e:
        names(tmp_path)
    assert message in str(e.value)
    assert "\n" not in str(e.value)


def test_a_large_scan_is_read_by_slabs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slabs, "LARGE", 60)
    scan(tmp_path / "scans" / "a_day1.nii.gz")
    write_nifti(tmp_path / "scans" / "a_day2.nii.gz", np.full((4, 5, 2), -500, np.int16))
    large, small = importers.cases(tmp_path, series())
    assert (type(large.image), type(small.image)) == (slabs.Slabs, np.ndarray)


def test_an_unreadable_day_is_named(tmp_path: Path) -> None:
    scan(tmp_path / "scans" / "a_day1.nii.gz")
    (tmp_path / "scans" / "a_day2.nii.gz").write_bytes(b"no scan")
    with pytest.raises(UserError, match=r"a_day2\.nii\.gz: corrupt or not NIfTI"):
        names(tmp_path)


def test_days_of_other_data_sets_take_no_column(tmp_path: Path) -> None:
    image = np.zeros((1, 4, 5), np.uint8)
    for folder, day in (("plain", None), ("series", 3)):
        canonical.write([canonical.Case("a", "p", "unlabelled", image, day=day)], series(), tmp_path / folder)
    plain, days = (next(canonical.read_table(tmp_path / f / "slices.csv")) for f in ("plain", "series"))
    assert "day" not in plain
    assert days["day"] == 3


def test_a_phantoms_lesions_follow_its_courses(tmp_path: Path) -> None:
    """By construction, but for rounding and where lesions would fill more than 55 % of a slice's lungs."""
    known = series()
    assert known.phantom is not None
    twin = known.phantom.model_copy(update={"size": 64, "slices": 6})
    phantom.write("series", known.model_copy(update={"phantom": twin}), tmp_path)
    pixels: dict[str, list[int]] = {}
    images, cases, empty = [], list[str](), []
    for case in importers.cases(tmp_path, known):
        assert case.label is not None
        cases.append(case.name)
        empty.append([k for k, slice_ in enumerate(case.label) if not slice_.any()])
        pixels.setdefault(case.patient, []).append(int(case.label.sum()))
        images.append(case.image)
    for found, course in zip(pixels.values(), known.phantom.courses, strict=True):
        largest = max(found)
        assert [n / largest for n in found] == pytest.approx(course, abs=0.02)
    assert pixels == {"phantom-1": [618, 433, 247, 94], "phantom-2": [134, 336, 168, 67]}  # and so it stays
    days = known.phantom.days
    assert cases == [f"phantom-{n}_day{day:03d}" for n in (1, 2) for day in days]
    assert empty == [[0, 5]] * len(cases)
    outside = images[0][:, :6, :6].astype(int) - images[1][:, :6, :6]  # air in a corner: only the grain differs
    assert outside.std() == pytest.approx(np.hypot(60, 60), rel=0.5)


def test_courses_need_a_number_per_day(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text(DATASET.read_text().replace("0.15]", "0.15, 0.1]"))
    with pytest.raises(UserError, match="courses: each needs one number per entry of days"):
        schema.load(schema.Dataset, tmp_path / "x.yaml")
