"""Rows per slice and case, their means, and folders of files; expected values by pencil."""

import csv
import dataclasses
import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from covidseg import schema, steps
from covidseg.base.errors import UserError
from covidseg.evaluate.score import Slice, score_folders, score_slices, summarise, write_rows

PROTOCOLS = Path(__file__).parents[3] / "workflow" / "protocols"
UNKNOWN = (math.nan, math.nan, math.nan)


def protocol(name: str) -> schema.Protocol:
    return schema.load(schema.Protocol, PROTOCOLS / f"{name}.yaml")


def a_slice(prob, truth, case="c", position=0, spacing=UNKNOWN, cls="infection") -> Slice:
    prob = np.array(prob, np.uint8) * 255
    return Slice(case, f"{case}/{position:03d}", position, cls, prob, np.array(truth, bool), spacing)


ONE, EMPTY, ALL = [[1, 0], [0, 0]], [[0, 0], [0, 0]], [[1, 1], [1, 1]]


def of(rows, unit, *names):
    return [tuple(row[name] for name in names) for row in rows if row["unit"] == unit]


@pytest.mark.parametrize("path", sorted(PROTOCOLS.glob("*.yaml")), ids=lambda p: p.stem)
def test_every_protocol_scores_a_slice_with_all_its_metrics(path: Path) -> None:
    found = schema.load(schema.Protocol, path)
    rows = score_slices(found, [a_slice(ONE, ONE)])
    pooled = ["pooled"] if found.unit == "pooled" else []
    assert [row["unit"] for row in rows] == ["slice", "case", *pooled]
    for row in rows:
        assert list(row)[:4] == ["unit", "case", "slice", "class"]
        assert set(found.metrics) <= set(row)
        assert all(math.isfinite(row[key]) for key in found.metrics if key != "volume_error")  # a slice has none
    assert len({metric.title for metric in found.metrics.values()}) == len(found.metrics)


def test_standard_slices() -> None:
    rows = score_slices(
        protocol("standard"),
        [
            a_slice(ONE, ONE, "right", spacing=(5.0, 3.0, 4.0)),
            a_slice(EMPTY, EMPTY, "nothing", spacing=(5.0, 3.0, 4.0)),
            a_slice(EMPTY, ONE, "missed", spacing=(5.0, 3.0, 4.0)),
            a_slice(ONE, EMPTY, "invented"),
        ],
    )
    assert of(rows, "slice", "case", "dice", "sen", "spe", "hd95", "nsd", "mae", "length_unit") == [
        ("right", 1.0, 1.0, 1.0, 0.0, 1.0, 0.0, "mm"),
        ("nothing", 1.0, 1.0, 1.0, 0.0, 1.0, 0.0, "mm"),
        ("missed", 0.0, 0.0, 1.0, 10.0, 0.0, 0.25, "mm"),  # diagonal of 2 x 3 mm by 2 x 4 mm
        ("invented", 0.0, 1.0, 0.75, math.sqrt(8), 0.0, 0.25, "px"),
    ]
    assert len(of(rows, "case", "case")) == 4


def test_a_given_mask_replaces_the_threshold() -> None:
    # Below 0.5, yet the most probable of three classes.
    likely = Slice("c", "c/0", 0, "ggo", np.full((2, 2), 110, np.uint8), np.array(ONE, bool), UNKNOWN)
    masked = dataclasses.replace(likely, mask=np.array(ONE, bool))
    found = [score_slices(protocol("standard"), [s])[0] for s in (likely, masked)]
    assert [row["dice"] for row in found] == [0.0, 1.0]
    assert found[0]["mae"] == found[1]["mae"]  # of the map
    toolbox = [score_slices(protocol("infnet_toolbox"), [s])[0] for s in (likely, masked)]
    assert toolbox[0] == toolbox[1]
    with pytest.raises(UserError, match="slice c/0: mask 1x2, truth 2x2; bring to one size"):
        score_slices(protocol("standard"), [dataclasses.replace(likely, mask=np.ones((1, 2), bool))])


def test_a_volume_is_scored_in_3d() -> None:
    """Truth in the lower slice, prediction in the upper, 2 mm higher; handed over in no order."""
    lower, upper = a_slice(EMPTY, ONE, position=4), a_slice(ONE, EMPTY, position=5)
    for spacing, unit, far in (((2.0, 1.0, 1.0), "mm", 2.0), ((math.nan, 1.0, 1.0), "px", 1.0)):
        slices = [Slice(**{**vars(s), "spacing": spacing}) for s in (upper, lower)]
        rows = score_slices(protocol("standard"), slices)
        assert of(rows, "case", "case", "slice", "dice", "sen", "mae", "length_unit") == [
            ("c", "", 0.0, 0.0, 0.25, unit)
        ]
        assert of(rows, "case", "spe") == [(6 / 7,)]
        # Surfaces of two stacked voxels: half of each lies on the other, half one slice away.
        assert of(rows, "case", "hd95", "nsd") == [(far, 1.0)]


def test_slices_left_out_between_two_are_empty() -> None:
    rows = score_slices(
        protocol("standard"),
        [a_slice(EMPTY, ONE, position=0, spacing=(4.0, 1, 1)), a_slice(ONE, EMPTY, position=2, spacing=(4.0, 1, 1))],
    )
    assert of(rows, "case", "hd95", "nsd") == [(8.0, 0.0)]  # faces 4 and 8 mm away, the tolerance is 3 mm
    assert of(rows, "case", "spe") == [(6 / 7,)]  # the slice between does not count


def test_a_case_of_unequal_slices_is_their_mean() -> None:
    rows = score_slices(
        protocol("standard"),
        [a_slice(ONE, ONE), a_slice([[0, 0, 0]], [[0, 1, 0]], position=1, spacing=(1.0, 1.0, 1.0))],
    )
    assert of(rows, "case", "dice", "sen", "length_unit") == [(0.5, 0.5, "mixed")]


def test_two_slices_at_one_position() -> None:
    with pytest.raises(UserError, match="case c: two slices at one position"):
        score_slices(protocol("standard"), [a_slice(ONE, ONE), a_slice(ONE, ONE)])


def test_the_slices_of_a_case_come_together() -> None:
    with pytest.raises(UserError, match="case a: its slices are not together"):
        score_slices(protocol("standard"), [a_slice(ONE, ONE, name, k) for k, name in enumerate("aba")])


def test_ssanet_slices_and_their_mean() -> None:
    rows = score_slices(
        protocol("ssanet"),
        [a_slice(ALL, ONE, position=0), a_slice(EMPTY, EMPTY, position=1), a_slice(EMPTY, ONE, position=2)],
    )
    names = ("dsc", "mae", "nsd", "hd95_rowset", "hd95_px")
    # Row 00 of the truth is sqrt(2) from row 11, the only one of the prediction. Border pixels: distances 0, 0, 1, 1,
    # sqrt(2), and the 95th percentile lies 0.8 of the way from 1 to sqrt(2).
    assert of(rows, "slice", *names) == [
        (0.4, 0.75, 1.0, pytest.approx(0.95 * math.sqrt(2)), pytest.approx(1 + 0.8 * (math.sqrt(2) - 1))),
        (1.0, 0.0, 1.0, 0.0, 0.0),
        (0.0, 0.25, 0.0, 0.95, math.sqrt(8)),
    ]
    assert of(rows, "case", "dsc", "mae") == [(pytest.approx(1.4 / 3), pytest.approx(1 / 3))]


def test_classes_stay_apart() -> None:
    rows = score_slices(protocol("ssanet"), [a_slice(ONE, ONE, cls="ggo"), a_slice(EMPTY, ONE, cls="con")])
    assert of(rows, "slice", "class", "dsc") == [("ggo", 1.0), ("con", 0.0)]
    assert summarise(rows, protocol("ssanet"))["con"]["dsc"] == {"mean": 0.0, "std": None, "n": 1}


def test_summary_over_slices_or_cases() -> None:
    found = protocol("ssanet")
    rows = score_slices(
        found,
        [a_slice(ONE, ONE, "a"), a_slice(EMPTY, ONE, "b", 0), a_slice(EMPTY, ONE, "b", 1), a_slice(ONE, ONE, "b", 2)],
    )
    assert summarise(rows, found)["infection"]["dsc"] == {"mean": 0.5, "std": pytest.approx(math.sqrt(1 / 3)), "n": 4}
    by_case = summarise(rows, found.model_copy(update={"unit": "case"}))["infection"]["dsc"]
    assert by_case == {"mean": pytest.approx(2 / 3), "std": pytest.approx(math.sqrt(2) / 3), "n": 2}


@pytest.mark.parametrize(
    ("prob", "message"),
    [(np.zeros((2, 3)), "slice c/000: prediction 2x3, truth 2x2"), (np.full((2, 2), np.nan), "c/000: NaN or infinite")],
)
def test_bad_slices(prob, message) -> None:
    with pytest.raises(UserError, match=message):
        score_slices(protocol("standard"), [Slice("c", "c/000", 0, "x", prob, np.zeros((2, 2), bool), UNKNOWN)])


def test_an_unknown_measure_names_the_nearest() -> None:
    found = protocol("ssanet")
    metric = found.metrics["dsc"].model_copy(update={"measure": "hd59"})
    with pytest.raises(UserError, match=r"metrics\.dsc: unknown measure 'hd59'; did you mean 'hd95'"):
        score_slices(found.model_copy(update={"metrics": {"dsc": metric}}), [])


def test_rows_of_two_protocols_in_one_file(tmp_path: Path) -> None:
    write_rows(tmp_path / "x.csv", [{"case": "a", "dsc": 0.1}, {"case": "b,c", "dice": 1 / 3}])
    assert (tmp_path / "x.csv").read_text() == '"case","dsc","dice"\n"a",0.1,\n"b,c",,0.3333333333333333\n'


# ---- folders


def save(folder: Path, **images) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, pixels in images.items():
        Image.fromarray(np.array(pixels, np.uint8)).save(folder / f"{name}.png")
    return folder


def test_folders_of_png(tmp_path: Path) -> None:
    truth = save(tmp_path / "truth", a=[[255, 0], [0, 0]], b=[[255, 255], [0, 0]])
    pred = save(tmp_path / "pred", a=[[128, 127], [0, 0]], b=[[0, 0], [0, 0]])
    summary = score_folders(protocol("standard"), truth, pred, tmp_path / "out")
    assert (summary["dice"], summary["sen"], summary["spe"]) == (0.5, 0.5, 1.0)
    assert summary["hd95"] == pytest.approx(math.sqrt(8) / 2)
    assert summary["mae"] == pytest.approx(((127 + 127) / 255 / 4 + 0.5) / 2)
    assert summary["about"]["length_unit"] == "px"
    assert json.loads((tmp_path / "out/summary.json").read_text()) == summary
    with open(tmp_path / "out/cases.csv") as f:
        rows = list(csv.DictReader(f))
    assert [(row["case"], row["dice"]) for row in rows] == [("a", "1.0"), ("b", "0.0")]
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["cases.csv", "summary.json"]


def test_what_is_not_scored_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    truth, pred = (save(tmp_path / name, a=[[255, 0], [0, 0]]) for name in ("truth", "pred"))
    (pred / ".hidden.png").touch()
    (pred / "a.mha").touch()
    said = steps.score_folders("standard", truth, pred, tmp_path / "out")
    assert said.startswith("mean over 1 slices: Dice 1.0000")
    assert capsys.readouterr().err == f"{pred}: not scored, no PNG, JPEG or NIfTI file, or hidden: .hidden.png, a.mha\n"


def test_the_toolbox_writes_its_keys_and_curves(tmp_path: Path) -> None:
    """The extract: a perfect map and one that finds half (see test_toolbox.py for the numbers)."""
    truth = save(tmp_path / "truth", a=[[255, 0], [0, 0]], b=[[255, 255], [0, 0]])
    pred = save(tmp_path / "pred", a=[[255, 0], [0, 0]], b=[[200, 0], [0, 0]])
    summary = score_folders(protocol("infnet_toolbox"), truth, pred, tmp_path / "out")
    assert set(summary) - {"about"} == {"dice", "sen", "spe", "s_alpha", "e_phi", "mae"}
    lines = (tmp_path / "out/curves.csv").read_text().splitlines()
    assert len(lines) == 257
    assert lines[0] == '"threshold","dice","sen","spe","e_phi"'
    assert lines[1].split(",")[:4] == ["1.0", repr((1 + 2 / 3) / 2), "0.75", "1.0"]
    assert lines[256].split(",")[:4] == ["0.0", repr((0.4 + 4 / 6) / 2), "1.0", "0.0"]
    assert summary["dice"] == pytest.approx((255 * (1 + 2 / 3) + 0.4 + 2 / 3) / 512, rel=1e-14)
    found, missed, other = (0.75 / 0.8125 + 1) ** 2 / 4, 0.01, 0.81
    half = (found + missed + 2 * other) / 3
    # At t = 1 nothing is above: four quarters over 3.
    assert summary["e_phi"] == pytest.approx((255 * (4 / 3 + half) + 2 / 3) / 512, rel=1e-13)
    objects = 0.5 / (1.25 + math.sqrt(0.5)) + 0.5
    assert summary["s_alpha"] == pytest.approx((1 + 0.5 * objects + 0.25) / 2, rel=1e-13)
    assert summary["mae"] == 0.125


def test_the_toolbox_resizes_and_the_others_refuse(tmp_path: Path) -> None:
    truth = save(tmp_path / "truth", a=np.kron(np.eye(2), np.full((8, 8), 255)))
    pred = save(tmp_path / "pred", a=np.kron(np.eye(2), np.full((16, 16), 255)))
    summary = score_folders(protocol("infnet_toolbox"), truth, pred, tmp_path / "out")
    assert summary["dice"] > 0.95
    with pytest.raises(UserError, match=r"a\.png: 1x32x32, but its truth has 1x16x16"):
        score_folders(protocol("standard"), truth, pred, tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_the_same_folders_give_the_same_bytes(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    truth = save(tmp_path / "truth", a=255 * (rng.random((20, 30)) < 0.3))
    pred = save(tmp_path / "pred", a=rng.integers(0, 256, (20, 30)))
    for out in ("one", "two"):
        score_folders(protocol("infnet_toolbox"), truth, pred, tmp_path / out)
    for name in ("cases.csv", "curves.csv", "summary.json"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_nifti_volumes(tmp_path: Path) -> None:
    """Two slices of 2 x 3 pixels, stored x, y, z; prediction as 0..1 floats."""
    import nibabel as nib

    truth = np.zeros((3, 2, 2), np.uint8)
    truth[0, 0, 0] = truth[2, 1, 1] = 1
    pred = np.zeros((3, 2, 2), np.float32)
    pred[0, 0, 0], pred[2, 1, 1] = 0.75, 0.25
    for folder, voxels, suffix in (("truth", truth, "nii.gz"), ("pred", pred, "nii")):
        (tmp_path / folder).mkdir()
        nib.save(nib.Nifti1Image(voxels, np.diag([0.5, 2.0, 5.0, 1.0])), tmp_path / folder / f"scan.{suffix}")
    summary = score_folders(protocol("standard"), tmp_path / "truth", tmp_path / "pred", tmp_path / "out")
    assert summary["dice"] == 0.5  # over slices: 1 and 0
    assert summary["hd95"] == pytest.approx(math.hypot(2 * 2.0, 3 * 0.5) / 2)
    assert (summary["about"]["cases"], summary["about"]["slices"]) == (1, 2)
    with open(tmp_path / "out/cases.csv") as f:
        case = next(csv.DictReader(f))
    assert (case["case"], case["unit"], case["length_unit"]) == ("scan", "case", "mm")
    assert float(case["dice"]) == pytest.approx(2 / 3)
    with open(tmp_path / "out/slices.csv") as f:
        assert [row["slice"] for row in csv.DictReader(f)] == ["scan/000", "scan/001"]


def test_region_metrics_of_nifti_folders(tmp_path: Path) -> None:
    """Two slices of 3 x 4 pixels, by pencil; see the comments."""
    import nibabel as nib

    truth, pred = np.zeros((2, 2, 3, 4), np.uint8)
    truth[0, 0, :2] = truth[0, 2, 3] = truth[1, 1, 1] = 1  # three regions; in 3-D the first and the last touch: two
    pred[0, 0, 0] = pred[1, 1, :3] = 1  # two regions, both with their centre in the truth; in 3-D one, ...
    for folder, voxels in (("truth", truth), ("pred", pred)):
        (tmp_path / folder).mkdir()
        image = nib.Nifti1Image(np.ascontiguousarray(voxels.transpose(2, 1, 0)), np.diag([2.0, 2.0, 5.0, 1.0]))
        nib.save(image, tmp_path / folder / "scan.nii.gz")
    summary = score_folders(protocol("scoat"), tmp_path / "truth", tmp_path / "pred", tmp_path / "out")
    half = {"dsc": 0.5, "sen": 0.5, "ppv": 0.5, "va": 1.0, "rlp": 1.0, "rlr": pytest.approx(2 / 3)}
    assert {key: summary[key] for key in half} == half
    assert (summary["rlp_3d"], summary["rlr_3d"]) == (0, 0)  # ... whose centre, at the left of the row of three, is not
    assert (summary["about"]["cases"], summary["about"]["unit"]) == (1, "case")


@pytest.mark.parametrize("name", ["standard", "scans", "infnet_toolbox", "attnfusion_pooled", "scoat"])
def test_slices_whose_truth_nobody_drew_have_no_score_of_pixels(name: str) -> None:
    """Found where the label says lesion, missed, invented, and rightly left empty."""
    found, four = protocol(name), [(ONE, ALL, "a"), (EMPTY, ALL, "b"), (ONE, EMPTY, "c"), (EMPTY, EMPTY, "d")]
    rows = score_slices(found, [dataclasses.replace(a_slice(*each), drawn=False) for each in four])
    known = {key for key, metric in found.metrics.items() if (metric.measure or key) in ("missed", "invented")}
    for row in rows:
        assert all(math.isnan(row[key]) for key in set(found.metrics) - known)
    if known:
        assert of(rows, "case", "missed", "invented") == [(0, 0), (1, 0), (0, 1), (0, 0)]


def test_masks_by_image() -> None:
    four = [(ONE, ALL, "a"), (EMPTY, ALL, "b"), (ONE, EMPTY, "c"), (EMPTY, EMPTY, "d")]
    rows = score_slices(protocol("images"), [dataclasses.replace(a_slice(*each), drawn=False) for each in four])
    assert of(rows, "slice", "agrees", "missed", "invented") == [(1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 0, 0)]
    drawn = score_slices(protocol("images"), [a_slice(*each) for each in four])
    assert of(drawn, "slice", "agrees") == [(1,), (0,), (0,), (1,)]


def test_png_folders_need_no_heavy_import(tmp_path: Path) -> None:
    truth, pred = (save(tmp_path / name, a=[[255, 0], [0, 0]]) for name in ("truth", "pred"))
    code = (
        "import sys; from pathlib import Path; from covidseg import schema\n"
        "from covidseg.evaluate.score import score_folders\n"
        "p = schema.load(schema.Protocol, Path(sys.argv[1])); score_folders(p, *map(Path, sys.argv[2:]))\n"
        "print([m for m in ('torch', 'pandas', 'scipy', 'nibabel', 'matplotlib', 'h5py') if m in sys.modules])"
    )
    arguments = [PROTOCOLS / "infnet_toolbox.yaml", truth, pred, tmp_path / "out"]
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"
