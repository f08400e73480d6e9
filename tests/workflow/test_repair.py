"""Damage in every kind of file of a finished project: refused by what reads it, named by doctor, mended by repair."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from covidseg.plan import Plan
from covidseg.upkeep.inventory import problems
from tests.conftest import Project

Fork = Callable[[], Project]
STORE, TENSORS = "data/demo/canonical/covid-ct-seg", "data/demo/tensors/covid-ct-seg/32"
JOB = "results/demo/runs/ssanet/m1/fold0-seed0"
RAW = "data/demo/raw/covid-ct-seg/COVID-19-CT-Seg_20cases/coronacases_001.nii.gz"
READ_BY = {  # file -> a verb that reads it
    RAW: "import covid-ct-seg",
    f"{STORE}/slices.h5": "lungs covid-ct-seg",
    f"{STORE}/slices.csv": "table ssanet 1",
    f"{STORE}/lungs.h5": "tensors covid-ct-seg 32",
    f"{STORE}/import.json": "leaks covid-ct-seg ma5",
    f"{TENSORS}/image.npy": "train ssanet/m1 --fold 0",
    f"{TENSORS}/label.npy": "train ssanet/m1 --fold 0",
    f"{TENSORS}/slices.csv": "score ssanet/m1",
    f"{TENSORS}/tensors.json": "train ssanet/m1 --fold 0",
    f"{JOB}/predictions.h5": "score ssanet/m1",
    f"{JOB}/run.json": "score ssanet/m1",
    "results/demo/runs/ssanet/m1/cases.csv": "table ssanet 3",
    "results/demo/runs/ssanet/m1/summary.json": "claims ssanet",
    "results/demo/tables/ssanet/3.csv": "report",
    "results/demo/tables/ssanet/3.html": "report",
    "results/demo/tables/ssanet/3.json": "trace ssanet/3 m1 DSC",
    "results/demo/claims/ssanet.csv": "report",
    "results/demo/leaks/covid-ct-seg-ma5.json": "table ssanet 3",
}


def damage(file: Path) -> None:
    """Change one byte in the middle; size and time stay."""
    known, content = file.stat(), bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    os.utime(file, ns=(known.st_atime_ns, known.st_mtime_ns))


def bad(project: Project) -> list[str]:
    said = project.verbs("doctor --verify")["doctor --verify"][1].splitlines()
    return [line.removeprefix("BAD ").strip() for line in said if line.startswith("BAD")]


def contents(project: Project) -> dict[str, bytes]:
    return {file: (project.folder / file).read_bytes() for file in READ_BY}


def plant(project: Project) -> list[Path]:
    """Put files that the program did not write into every folder of data and results; return them."""
    tops = [project.folder / "data/demo", project.folder / "results/demo"]
    folders = [folder for top in tops for folder in (top, *top.rglob("*")) if folder.is_dir()]
    names = ("notes.txt", "corrected.nii.gz", "mine.csv")
    files = [folder / name for folder in folders for name in names if "raw" not in folder.parts]
    for file in files:
        file.write_text("mine")
    return files


def test_one_changed_byte_is_refused_and_repaired(fork: Fork, monkeypatch: pytest.MonkeyPatch) -> None:
    project = fork()
    monkeypatch.chdir(project.folder)
    before = contents(project)
    assert bad(project) == []
    with project.imported_once("covidseg.upkeep.checkup", "covidseg.report"):
        for file, verb in READ_BY.items():
            damage(project.folder / file)
            said = project.refused(verb)[0].splitlines(keepends=True)[
                -1
            ]  # a training says before what a preset changes
            assert said.startswith(f"covidseg: {file}: damaged ("), said
            assert said.endswith("; run covidseg repair\n"), said
            assert [str(problem.file) for problem in problems(Plan.load(), thorough=True)] == [file]  # doctor's lines
            (project.folder / file).write_bytes(before[file])
    assert bad(project) == []

    strangers = plant(project)
    for file in READ_BY:
        damage(project.folder / file)
    (project.folder / JOB / "model.safetensors").unlink()
    found = bad(project)
    assert all(line.endswith("; run covidseg repair") for line in found)
    said = project.run("covidseg", "repair", "--dry-run")
    assert [f"would repair: {line.removesuffix('; run covidseg repair')}" for line in found] == said.splitlines()
    assert "repaired: " in project.run("covidseg", "repair", "--", "--cores", "2", "--quiet", "all")
    assert bad(project) == []
    assert [path for path in strangers if not path.is_file() or path.read_text() != "mine"] == []
    after = contents(project)
    changed = [file for file in READ_BY if after[file] != before[file]]
    assert changed == [f"{JOB}/run.json"]  # says when it was made
    assert (project.folder / f"{RAW}").is_file()
    assert project.run("covidseg", "repair").endswith("nothing to repair\n")
    assert set(project.planned()) <= {"all", "score", "table", "claims", "report"}  # trained is nothing again


def test_what_is_missing_behind_a_finished_report_is_made_alone(fork: Fork) -> None:
    project = fork()
    kept = (project.folder / STORE / "slices.h5").read_bytes()
    (project.folder / STORE / "slices.h5").unlink()
    shutil.rmtree(project.folder / TENSORS)
    model = (project.folder / JOB / "model.safetensors").stat().st_mtime_ns
    assert bad(project) == [
        f"{STORE}/slices.h5: missing; run covidseg repair",
        f"{TENSORS}/tensors.json: missing behind what was made from it; run covidseg repair",
    ]
    project.run("covidseg", "repair", "--", "--cores", "2", "--quiet", "all")
    assert bad(project) == []
    assert (project.folder / STORE / "slices.h5").read_bytes() == kept
    assert (project.folder / JOB / "model.safetensors").stat().st_mtime_ns == model
    assert project.planned() == {}


def test_a_stale_result_that_snakemake_does_not_know_is_made_again(fork: Fork) -> None:
    project = fork()
    shutil.rmtree(project.folder / ".snakemake/metadata")  # as in a copy of the results
    old = "m3: {losses: {self_attention: false}}"
    project.edit("workflow/papers/ssanet.yaml", old, f"{old[:-1]}, train: {{optimizer: {{lr: 0.0002}}}}}}")
    found = bad(project)
    assert len(found) == 2
    assert all(
        "ssanet/m3/fold" in line and "made with other settings (train.optimizer.lr was" in line for line in found
    )
    project.run("covidseg", "repair", "--", "--cores", "2", "--quiet", "all")
    assert all("m3/summary.json: made from other predictions" in line for line in bad(project))
    project.run("covidseg", "repair", "--", "--cores", "2", "--quiet", "all")
    assert bad(project) == []
