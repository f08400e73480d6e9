"""Follow-up scans and attention, drawn: masks of another data set's scans, table LOV, figures 5 and 6 of SCOAT-Net."""

import csv
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from tests.conftest import SMALL, Project, copy_project

VERBS = [
    *(f"{verb} {name}" for name in ("covid-ct-seg", "covid-19-ct-series") for verb in ("fetch", "import", "lungs")),
    "tensors covid-ct-seg 32",
    "train scoatnet/scoat --fold 0",
    "train scoatnet/unetpp --fold 0",
    "masks scoatnet/scoat@covid-19-ct-series",
    "table scoatnet LOV",
    "figure scoatnet 5",
    "figure scoatnet 6",
]
MAPS = """\
from pathlib import Path
from covidseg.data.canonical import Store
from covidseg.data.tensors import read_rows
from covidseg.figures.kinds.attention import _maps
from covidseg.plan import Plan

plan = Plan.load(Path("config.yaml"))
line = next(read_rows(plan.paths.tensors("covid-ct-seg", 32)))
with Store(plan.paths.canonical("covid-ct-seg") / "lungs.h5") as lungs:
    lung = lungs.lung(line["case"])[line["position"]] > 0
found = _maps(plan, ("scoatnet/scoat", 0, 0), [line["slice"]], ["1_1", "1_3"])[line["slice"]]
for map_, mean in found.values():
    print(map_.shape == lung.shape, not map_[~lung].any(), abs(map_[lung].mean() / 255 - mean) < 1e-6, 0 < mean <= 1)
"""


def made(folder: Path) -> Project:
    """Return a project in which two networks were trained for seconds, with what is drawn of them."""
    project = copy_project(folder)
    (project.folder / "workflow/presets/small.yaml").write_text(SMALL)
    project.edit("config.yaml", "preset: auto", "preset: small")
    project.edit("config.yaml", "papers: [ssanet, infnet, jin, scoatnet, attnfusion]", "papers: [scoatnet]")
    project.edit("config.yaml", "folds: all", "folds: [0]")
    project.edit("config.yaml", "only: []", "only: [scoatnet/scoat, scoatnet/unetpp]")
    project.edit("workflow/datasets/covid-ct-seg.yaml", "size: 128, slices: 7", "size: 64, slices: 4")
    project.edit("workflow/datasets/covid-19-ct-series.yaml", "size: 96\n  slices: 16", "size: 64\n  slices: 6")
    said = project.verbs(*VERBS)
    assert [code for code, _ in said.values()] == [0] * len(VERBS), said
    return project


def rows(path: Path) -> list[dict[str, str]]:
    with open(path, newline="") as f:
        return list(csv.DictReader(f))


def check_volumes(project: Project) -> None:
    """Phantoms follow known courses: the first patient's lesions shrink, the second's are largest at scan 2."""
    results = project.folder / "results/demo"
    cells = rows(results / "tables/scoatnet/LOV.csv")
    volumes: dict[str, list[float]] = {}
    for row in cells:
        volumes.setdefault(row["row"], []).append(float(row["ours"]))
    assert list(volumes) == [
        "Patient 1, LOV (days 0, 7, 14, 24)", "Patient 1, true LOV",
        "Patient 2, LOV (days 0, 7, 14, 24)", "Patient 2, true LOV",
    ]  # fmt: skip
    first, second = volumes["Patient 1, true LOV"], volumes["Patient 2, true LOV"]
    assert [volume / first[0] for volume in first] == pytest.approx([1, 0.7, 0.4, 0.15], abs=0.03)
    assert [volume / second[1] for volume in second] == pytest.approx([0.4, 1, 0.5, 0.2], abs=0.03)
    verdicts = {row["row"]: row["verdict"] for row in cells}
    assert (verdicts["Patient 1, true LOV"], verdicts["Patient 2, true LOV"]) == ("falls", "peaks at scan 2")
    masks = sorted((results / "masks/scoatnet/scoat@covid-19-ct-series").glob("*.nii.gz"))
    assert len(masks) == 8
    for path, found in zip(masks, [*volumes[next(iter(volumes))], *list(volumes.values())[2]], strict=True):
        image = nib.load(path)
        ml = np.count_nonzero(np.asarray(image.dataobj)) * np.prod(image.header.get_zooms()) / 1000
        assert found == pytest.approx(ml, abs=1e-3)


def test_scans_over_time_and_attention_are_drawn(tmp_path: Path) -> None:
    project = made(tmp_path)
    check_volumes(project)
    for figure in ("5", "6"):
        folder = project.folder / "results/demo/figures/scoatnet"
        assert (folder / f"{figure}.pdf").read_bytes().startswith(b"%PDF")
        assert (folder / f"{figure}.png").stat().st_size > 10_000
    # attention maps show inside the lungs only, and the number below each is its mean there
    assert project.run(sys.executable, "-c", MAPS).splitlines() == ["True True True True"] * 2
