"""The protocol by scan: what a clinician reads, by pencil; misses are counted and enter no distance."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from covidseg import schema, steps
from covidseg.evaluate.score import Slice, score_slices, summarise
from tests.conftest import ROOT

SCANS = schema.load(schema.Protocol, ROOT / "workflow/protocols/scans.yaml")
MM = (5.0, 2.0, 2.0)  # a voxel of 20 mm³


def scan(name, truth, found, spacing=MM):
    """Yield the slices of a scan (S, H, W) and what was found in it."""
    for k in range(len(truth)):
        yield Slice(name, f"{name}/{k}", k, "infection", found[k].astype(float), truth[k] > 0, spacing)


def box(*where):
    out = np.zeros((2, 6, 6), np.uint8)
    out[where] = 1
    return out


def rows_of(*scans):
    rows = score_slices(SCANS, [s for each in scans for s in each])
    return rows, {row["case"]: row for row in rows if row["unit"] == "case"}


NOTHING = box(slice(0), slice(0), slice(0))
FOUR = box(slice(None), 1, slice(1, 3))  # four voxels, two in each slice
SIX = box(slice(None), 1, slice(1, 4))


def test_a_scan_by_pencil():
    _, cases = rows_of(scan("a", FOUR, SIX))
    assert cases["a"]["dice"] == pytest.approx(2 * 4 / (4 + 6))
    assert cases["a"]["volume_error"] == pytest.approx(2 * 20 / 1000)  # two voxels too many
    assert cases["a"]["hd95"] == pytest.approx(2.0)  # a column of 2 mm
    assert (cases["a"]["missed"], cases["a"]["invented"], cases["a"]["length_unit"]) == (0, 0, "mm")


def test_misses_are_counted_and_enter_no_distance():
    rows, cases = rows_of(
        scan("a", FOUR, SIX), scan("b", FOUR, FOUR), scan("c", FOUR, NOTHING), scan("d", NOTHING, SIX),
        scan("e", NOTHING, NOTHING),
    )  # fmt: skip
    assert [np.isnan(cases[name]["hd95"]) for name in "abcde"] == [False, False, True, True, True]
    found = summarise(rows, SCANS)["infection"]
    assert (found["hd95"]["median"], found["hd95"]["q1"], found["hd95"]["q3"], found["hd95"]["n"]) == (1, 0.5, 1.5, 2)
    assert (found["missed"]["sum"], found["invented"]["sum"], found["missed"]["n"]) == (1, 1, 5)
    assert found["volume_error"]["mean"] == pytest.approx((2 + 0 + 4 + 6 + 0) * 20 / 1000 / 5)


def test_without_spacing_there_are_no_millilitres():
    rows, cases = rows_of(scan("a", FOUR, SIX, (float("nan"),) * 3))
    assert np.isnan(cases["a"]["volume_error"])
    assert (cases["a"]["hd95"], cases["a"]["length_unit"]) == (1.0, "px")
    assert summarise(rows, SCANS)["infection"]["volume_error"]["mean"] is None


def test_a_folder_of_masks_says_its_units(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(ROOT)
    for folder, masks in (("truth", {"a": FOUR, "b": FOUR}), ("pred", {"a": SIX, "b": NOTHING})):
        (tmp_path / folder).mkdir()
        for name, mask in masks.items():
            image = nib.Nifti1Image(np.ascontiguousarray(mask.transpose(2, 1, 0)), np.diag([2.0, 2.0, 5.0, 1.0]))
            nib.save(image, tmp_path / folder / f"{name}.nii.gz")
    said = steps.score_folders("scans", tmp_path / "truth", tmp_path / "pred", tmp_path / "out")
    assert said.splitlines()[0] == (
        "over 2 scans: Dice 0.4000 (mean)  HD95 2.0 mm (median, quartiles 2.0 to 2.0, 1 of 2)  Missed 1 of 2  "
        "Invented 0 of 2  Volume error 0.1 ml (mean)"
    )
    said = steps.score_folders("standard", tmp_path / "truth", tmp_path / "pred", tmp_path / "out")
    assert said.startswith("mean over 4 slices: Dice 0.4000  ")
    assert said.splitlines()[0].endswith("  missed 2, invented 0 of 4")  # b has two slices; their HD95 is a diagonal
