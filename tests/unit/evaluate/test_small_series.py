"""Follow-up scans in small: volumes by patient and day from a run's masks, their table and their figure."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from covidseg import steps
from covidseg.base.errors import UserError
from covidseg.data import canonical
from covidseg.data.canonical import Case
from covidseg.evaluate.series import series
from covidseg.figures.page import NothingToShowError
from covidseg.plan import Plan
from tests.records import write_record
from tests.unit import small_project
from tests.unit.small_project import PAPER

SERIES = "covid-19-ct-series"
MASKS = f"two/plain@{SERIES}"
# patient -> day -> voxels of infection, of 10 cubic millimetres each; None: nobody drew it
COURSES = {"b": {7: 20, 0: 40}, "a": {3: 60, 1: None, 20: 10}}
MORE: dict[str, Any] = {
    "defaults": PAPER["defaults"] | {"input": {"size": 32, "mode": "slice"}},
    "masks": [{"run": "plain", "dataset": SERIES}],
    "tables": {
        "LOV": {
            "kind": "series",
            "caption": "Volumes",
            "run": "plain",
            "dataset": SERIES,
            "patients": [
                {"label": "One", "expect": "falls"},
                {"label": "Two", "expect": {"peak": 1}},
                {"label": "Three", "expect": "falls"},
            ],
        }
    },
    "figures": {"6": {"kind": "series", "caption": "Scans", "run": "plain", "dataset": SERIES}},
}


def scans() -> list[Case]:
    rng = np.random.default_rng(1)
    found = []
    for patient, course in COURSES.items():
        for day, voxels in course.items():
            label = np.zeros(3 * 32 * 32, np.uint8)
            label[: voxels or 0] = 1
            found.append(
                Case(
                    f"{patient}_day{day:03d}", patient, "unlabelled" if voxels is None else "labelled",
                    rng.integers(0, 256, (3, 32, 32), np.uint8), None if voxels is None else label.reshape(3, 32, 32),
                    spacing=(5.0, 1.0, 2.0), affine=np.diag([-2.0, -1.0, 5.0, 1.0]), axcodes="LPS", day=day,
                )
            )  # fmt: skip
    return found


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plan]:
    """Return the plan of a project with masks of a series."""
    with small_project.project(tmp_path_factory.mktemp("project"), PAPER | MORE) as plan:
        canonical.write(scans(), plan.dataset(SERIES), plan.paths.canonical(SERIES))
        steps.lungs(plan, SERIES)
        steps.train(plan, "two/plain", 0, 0)
        steps.masks(plan, MASKS)
        yield plan


@pytest.fixture(scope="module")
def found(plan: Plan) -> dict[str, float]:
    """Return scan -> its predicted volume in ml, from the mask itself."""
    files = sorted(plan.paths.masks(MASKS).glob("*.nii.gz"))
    masks: dict[str, Any] = {path.name.removesuffix(".nii.gz"): nib.load(path) for path in files}
    return {name: round(float(np.asarray(mask.dataobj).sum()) * 10 / 1000, 3) for name, mask in masks.items()}


def test_scans_by_patient_and_day(plan: Plan, found: dict[str, float]) -> None:
    courses = series(plan, MASKS)
    assert [[(scan.case, scan.day, scan.truth) for scan in scans] for scans in courses.values()] == [
        [("a_day001", 1, None), ("a_day003", 3, 0.6), ("a_day020", 20, 0.1)],
        [("b_day000", 0, 0.4), ("b_day007", 7, 0.2)],
    ]
    assert list(courses) == ["a", "b"]
    assert {scan.case: scan.volume for scans in courses.values() for scan in scans} == found


def test_the_table_says_whether_a_course_is_as_the_paper_has_it(plan: Plan, found: dict[str, float]) -> None:
    table: Any = plan.papers["two"].tables["LOV"]
    cells = table.cells(plan, "two")
    told = {(cell.row, cell.column): (cell.ours, cell.verdict) for cell in cells}
    rows = list(dict.fromkeys(cell.row for cell in cells))
    assert rows == [
        "One, LOV (days 1, 3, 20)", "One, true LOV", "Two, LOV (days 0, 7)", "Two, true LOV", "Three, LOV",
    ]  # fmt: skip
    assert {row: told[row, "Scan 1"][1] for row in rows[1::2] + rows[4:]} == {
        "One, true LOV": "no course: a volume is unknown, or there is one scan only",
        "Two, true LOV": "peaks at scan 1",
        "Three, LOV": "scans not found",
    }
    assert [told["Two, true LOV", f"Scan {k}"][0] for k in (1, 2, 3)] == [0.4, 0.2, None]
    assert [told[rows[0], f"Scan {k}"][0] for k in (1, 2, 3)] == [found[f"a_day0{day}"] for day in ("01", "03", "20")]
    assert {(cell.run, cell.metric, cell.digits, cell.printed) for cell in cells} == {
        ("two/plain", "lesion_ml", 1, None)
    }
    assert table.origin(plan, cells[0]) == [f"measured in {plan.paths.masks(MASKS)}/volumes.csv"]
    words = table.words(plan, "two", "LOV")
    assert words[1:3] == [f"Mode paper, preset tiny. Scans: {SERIES}", "Differs from the paper: 1 of 5 folds (0)."]
    assert table.headings == []


def test_the_figure_shows_each_scan_in_two_planes(plan: Plan, found: dict[str, float]) -> None:
    figure: Any = plan.papers["two"].figures["6"]
    drawing = figure.draw(plan, "two")
    axes = np.array(drawing.axes).reshape(4, 3)
    texts = [[axis.texts[0].get_text() if axis.texts else "" for axis in row] for row in axes]
    volumes = {name: f"LOV {ml:.0f} ml" for name, ml in found.items()}
    assert texts == [
        ["day 1", "day 3", "day 20"],
        [volumes["a_day001"], volumes["a_day003"], volumes["a_day020"]],
        ["day 0", "day 7", ""],
        [volumes["b_day000"], volumes["b_day007"], ""],
    ]
    assert [axes[row, 0].get_title(loc="left") for row in (0, 2)] == ["a", "b"]
    assert [axes[row, 0].get_aspect() for row in (0, 1)] == [0.5, 2.5]  # 1 by 2 mm in the slice, 5 by 2 beside
    assert [axes[row, 0].images[0].get_array().shape for row in (0, 1)] == [(32, 32), (3, 32)]
    assert figure.words(plan, "two", "6")[1:3] == [f"Scans: {SERIES}", "Mode paper, preset tiny"]


def test_masks_of_other_models_and_scans_without_days_are_refused(plan: Plan) -> None:
    path = plan.paths.masks(MASKS) / "masks.json"
    whole = path.read_text()
    try:
        record = json.loads(whole)
        write_record(path, record | {"made_from": record["made_from"] | {"models": {"fold0-seed0": "0"}}})
        with pytest.raises(UserError, match=rf"masks\.json: .*; run covidseg masks {MASKS} again \(or snakemake\)"):
            series(plan, MASKS)
    finally:
        path.write_text(whole)


def test_a_series_that_was_not_found_is_said(plan: Plan, tmp_path: Path) -> None:
    store = plan.paths.canonical(SERIES)
    kept = [(path, path.rename(path.with_name(f"{path.name}.kept"))) for path in (store, plan.paths.masks(MASKS))]
    try:
        canonical.write([], plan.dataset(SERIES), store)
        steps.lungs(plan, SERIES)
        steps.masks(plan, MASKS)
        with pytest.raises(NothingToShowError, match=f"no scan of {SERIES} was found"):
            plan.papers["two"].figures["6"].draw(plan, "two")  # type: ignore[attr-defined]
        table: Any = plan.papers["two"].tables["LOV"]
        assert {cell.verdict for cell in table.cells(plan, "two")} == {"scans not found"}
    finally:
        for path, before in kept:
            shutil.rmtree(path, ignore_errors=True)
            before.rename(path)
