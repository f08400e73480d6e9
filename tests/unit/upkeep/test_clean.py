"""covidseg clean: what has no source any more goes, and only what our records list; all else stays."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from covidseg.base import records
from covidseg.base.own import OwnFiles
from covidseg.plan import Plan
from covidseg.upkeep import checkup
from covidseg.upkeep.clean import clean, stale
from tests.conftest import ROOT
from tests.unit.data.small import write_nifti

OWN = """\
paper: {{title: Mine}}
dataset: {{folder: {folder}}}
defaults: {{net: {{name: unet}}, losses: {{dice: {{}}}}}}
runs: {{ours: {{}}}}
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with the workflow's files, in which the test runs."""
    shutil.copytree(ROOT / "workflow", tmp_path / "workflow")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def made(record: str, *names: str, **facts: object) -> Path:
    """Write files and the record that lists them; return the record."""
    path = Path(record)
    files = [path.parent / name for name in names]
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(file.name)
    path.parent.mkdir(parents=True, exist_ok=True)
    records.write(path, files, **facts)
    return path


def cleaned(plan: Plan, *places: Path) -> list[str]:
    said: list[str] = []
    clean(plan, places, False, said.append)
    return said


def left(root: Path) -> list[str]:
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())


def test_runs_and_tables_without_a_source_go(project: Path) -> None:
    runs, tables = "results/demo/runs/ssanet", "results/demo/tables"
    for job in (f"{runs}/m1/fold0-seed0", f"{runs}/m1/fold7-seed0", f"{runs}/old/fold0-seed0"):
        made(f"{job}/run.json", "model.safetensors", "history.csv")
    made(f"{runs}/old/fold0-seed0/stages/round0/stage.json", "labels.h5")
    made(f"{runs}/old/summary.json", "cases.csv")
    made("results/demo/runs/lost/ours/fold0-seed0/run.json", "model.safetensors")
    Path(runs, "old/fold0-seed0/notes.txt").write_text("by hand")
    Path(runs, "old/cases.csv").write_text("corrected")
    made(f"{tables}/ssanet/3.json", "3.csv", preset="tiny")
    made(f"{tables}/ssanet/5.json", "5.csv", preset="cpu")
    made(f"{tables}/ssanet/99.json", "99.csv", preset="tiny")
    made("results/demo/figures/ssanet/5.json", "5.png")  # of an earlier version, which named no preset
    made("results/demo/claims/lost.json", "lost.csv")
    made("data/demo/canonical/lost/import.json", "slices.h5")
    made("data/demo/tensors/lost/32/tensors.json", "image.npy")
    made("data/demo/canonical/covid-ct-seg/import.json", "slices.h5")
    made("data/demo/splits/lost-folds-5.json", "lost-folds-5.csv")
    Path("data/demo/raw/lost").mkdir(parents=True)
    Path("data/demo/raw/lost/scan.nii.gz").write_text("downloaded")
    plan = Plan.load({})
    assert [str(one) for one in stale(plan)] == [
        "results/demo/runs/lost/ours: no paper file names this run",
        f"{runs}/m1/fold7-seed0: split ma5 has no fold 7",
        f"{runs}/old: no paper file names this run",
        f"{tables}/ssanet/5: made with preset cpu, now it is tiny",
        f"{tables}/ssanet/99: no paper file names this table",
        "results/demo/claims/lost: no paper file has these claims",
        "data/demo/canonical/lost: nothing describes this data set",
        "data/demo/tensors/lost: nothing describes this data set",
        "data/demo/splits/lost-folds-5.csv: nothing describes this data set",
    ]
    before = left(project)
    assert clean(plan, [], True, lambda line: None) == 9
    assert left(project) == before
    assert f"ok   {runs}/old: no paper file names this run; covidseg clean removes it" in doctor(project)
    said = cleaned(plan, Path("data"))
    assert said[-1].startswith("removed: 3, ")
    said = cleaned(plan)
    assert f"{runs}/old/cases.csv: changed since we wrote it, left as it is" in said
    assert left(project / "data") == [
        "demo/canonical/covid-ct-seg/import.json", "demo/canonical/covid-ct-seg/slices.h5", "demo/raw/lost/scan.nii.gz",
    ]  # fmt: skip
    assert left(project / "results") == [
        "demo/figures/ssanet/5.json", "demo/figures/ssanet/5.png", "demo/runs/ssanet/m1/fold0-seed0/history.csv",
        "demo/runs/ssanet/m1/fold0-seed0/model.safetensors", "demo/runs/ssanet/m1/fold0-seed0/run.json",
        "demo/runs/ssanet/old/cases.csv", "demo/runs/ssanet/old/fold0-seed0/notes.txt", "demo/tables/ssanet/3.csv",
        "demo/tables/ssanet/3.json",
    ]  # fmt: skip
    assert not Path("results/demo/runs/lost").exists()  # folders that are empty go, too
    assert cleaned(plan) == ["nothing to remove: every result has its source"]


def doctor(project: Path) -> list[str]:
    (project / "config.yaml").write_text("{}\n")
    return checkup.examine(Path("config.yaml"))[0]


def test_the_mask_of_a_deleted_scan_goes(project: Path) -> None:
    """Scan b was deleted. A mask that somebody corrected stays, and so do those of the other scans."""
    scans = project / "scans"
    for name in "abc":
        write_nifti(scans / f"imagesTr/{name}.nii.gz", np.zeros((8, 8, 2), np.int16))
        write_nifti(scans / f"labelsTr/{name}.nii.gz", np.ones((8, 8, 2), np.uint8))
    (scans / "dataset.json").write_text('{"labels": {"background": 0, "lesion": 1}}')
    Path("workflow/papers/mine.yaml").write_text(OWN.format(folder=scans))
    plan = Plan.load({"mode": "paper", "papers": ["mine"]})
    out = plan.paths.masks("mine/ours")
    out.mkdir(parents=True)
    own = OwnFiles(out)
    names = ["a.nii.gz", "b.nii.gz", "b-000.nii.gz", "c.nii.gz"]  # b-000 is a scan, no slice of b
    for name in names:
        own.claim(name).write_text(name)
        own.add(name)
    write_nifti(scans / "imagesTs/b-000.nii.gz", np.zeros((8, 8, 2), np.int16))
    rows = [f"{name.removesuffix('.nii.gz')},2,0.5" for name in names]
    (out / "volumes.csv").write_text("\n".join(["case,slices,lesion_ml", *rows]) + "\n")
    made_from = {"models": {"fold0-seed0": "1"}}
    records.write(out / "masks.json", [out / "volumes.csv", *(out / name for name in names)], made_from=made_from)
    assert stale(plan) == []

    for folder in ("imagesTr", "labelsTr"):
        (scans / folder / "b.nii.gz").unlink()
        (scans / folder / "c.nii.gz").unlink()
    (out / "c.nii.gz").write_text("corrected by hand")
    assert [str(one) for one in stale(plan)] == [
        f"{out}/{name}: its scan is no longer in {scans}" for name in ("b", "c")
    ]
    assert f"{out}/c.nii.gz: changed since we wrote it, left as it is" in cleaned(plan)
    assert left(out) == ["a.nii.gz", "b-000.nii.gz", "c.nii.gz", "masks.json", "volumes.csv", "written.jsonl"]
    assert (out / "volumes.csv").read_text().split() == ['"case","slices","lesion_ml"', '"a",2,0.5', '"b-000",2,0.5']
    record = records.read(out / "masks.json")
    assert list(record["sha256"]) == ["a.nii.gz", "b-000.nii.gz", "volumes.csv"]
    assert record["made_from"] == made_from
    assert stale(plan) == []

    Path("workflow/papers/mine.yaml").unlink()
    cleaned(Plan.load({"mode": "paper", "papers": ["ssanet"]}))
    assert left(out) == ["c.nii.gz"]
