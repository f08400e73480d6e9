"""What reruns, and what does not; what is refused before anything runs."""

import json
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Project
from tests.records import write_record

Fork = Callable[[], Project]


def test_nothing_is_left_to_do_and_a_comment_is_nothing(fork: Fork) -> None:
    project = fork()
    for module in ("train/methods/supervised.py", "nets/ssanet.py", "tables/results.py", "data/phantom/__init__.py"):
        file = project.folder / "src" / "covidseg" / module
        file.write_text(file.read_text() + "\n# a comment\n")
    said = project.snakemake("--dry-run", "--logger", "covidseg", "--quiet", "all")
    assert said == "Nothing to be done: all that was asked for is there and up to date.\n"


def test_a_row_reruns_its_own_jobs_and_no_other(fork: Fork) -> None:
    project = fork()
    project.edit("workflow/papers/ssanet.yaml", "m3: {losses: {self_attention: false}}", "m3: {train: {batch: 4}}")
    project.edit("workflow/presets/small.yaml", "batch: 8\n", "")
    project.edit("workflow/papers/ssanet.yaml", "batch: 2\n", "batch: 8\n")
    # M1's batch is 8 as before; M3 changed: its two folds, its scores, table 3, claims and what shows them.
    assert project.planned() == {"all": 1, "train": 2, "score": 1, "table": 1, "claims": 1, "report": 1}


def test_a_changed_loss_reruns_trainings(fork: Fork) -> None:
    project = fork()
    file = project.folder / "src" / "covidseg" / "losses" / "dice.py"
    file.write_text(file.read_text() + "\nEXTRA = 1\n")
    assert project.planned()["train"] >= 4


def test_a_result_of_another_spec_is_refused(fork: Fork) -> None:
    project = fork()
    project.edit("workflow/presets/small.yaml", "epochs: 0.02", "epochs: 0.04")
    for text in project.refused("table ssanet 3", "claims ssanet"):
        assert "run.json: made with other settings (train.epochs was 3, is 6); run covidseg repair" in text


def test_a_damaged_record_is_one_line(fork: Fork) -> None:
    project = fork()
    (project.folder / "results/demo/runs/ssanet/m1/fold0-seed0/run.json").write_text("{")
    text = project.run("covidseg", "table", "ssanet", "3", fails=True)
    assert "fold0-seed0/run.json: damaged" in text
    assert "Traceback" not in text


def test_scores_of_other_predictions_are_refused(fork: Fork) -> None:
    project = fork()
    job = project.folder / "results/demo/runs/ssanet/m1/fold0-seed0/run.json"
    facts = json.loads(job.read_text())
    facts["sha256"]["predictions.h5"] = "0" * 64
    write_record(job, facts)
    text = project.run("covidseg", "table", "ssanet", "3", fails=True)
    assert "ssanet/m1/cases.csv: made from other predictions or protocols; run covidseg repair" in text


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("config.yaml", "seeds: [0]", "sedes: [0]", "config.yaml: sedes: unknown key; did you mean 'seeds'?"),
        (
            "workflow/papers/ssanet.yaml",
            "m4: {}",
            "m4: {net: {spatial_con: true}}",
            "workflow/papers/ssanet.yaml: runs.m4.net.spatial_con: unknown key; did you mean 'spatial_conv'?",
        ),
        (
            "workflow/papers/ssanet.yaml",
            "m4: {}",
            "m4: {}\n  '$(touch pwned)': {}",
            "unusable name '$(touch pwned)'; use letters, digits, dot, dash and underscore",
        ),
    ],
)
def test_what_cannot_be_planned_stops_before_the_graph(fork: Fork, file: str, old: str, new: str, message: str) -> None:
    project = fork()
    project.edit(file, old, new)
    text = project.snakemake("--dry-run", fails=True)
    assert message in text
    assert "Traceback" not in text
    assert list(project.folder.rglob("pwned")) == []


def test_every_mode_and_preset_makes_a_graph_beside_a_running_workflow(fork: Fork) -> None:
    project = fork()
    configs = project.folder / "results/demo/configs"
    before = {path.name: path.read_text() for path in configs.iterdir()}
    for settings in (["mode=paper", "only=[]", "folds=all", "preset=full"], ["only=[]", "folds=all", "preset=tiny"]):
        text = project.snakemake("--dry-run", "--logger", "covidseg", "--quiet", "all", "--config", *settings)
        assert re.match(r"\d+ jobs: .*train \d+, .*report 1\n", text)
        assert "would do: train ssanet/m4 fold 0 seed 0 (table 3, " in text
    after = {path.name: path.read_text() for path in configs.iterdir()}
    assert before.items() <= after.items()  # the settings of a running workflow stay
    assert len(after) == len(before) + 1


def test_a_joined_data_set_waits_for_the_stores_and_masks_of_its_parts(fork: Fork) -> None:
    project = fork()
    project.edit(
        "workflow/papers/ssanet.yaml", "  m4: {}", "  m4: {}\n  three: {dataset: dataset3, split: dataset3-clean}"
    )
    text = project.snakemake("--dry-run", "--config", "only=[ssanet/three]", "folds=all")
    job = text.split("import dataset3\n", 1)[1].splitlines()[0]
    waits = job.split("updated by another job: ")[1].split(", ")
    assert sorted(waits) == [
        f"data/demo/canonical/{part}/{made}"
        for part in ("medseg-1", "medseg-2")
        for made in ("import.json", "lungs.json")
    ]
    assert "fetch dataset3" not in text


def test_a_prior_waits_for_the_model_that_makes_it(fork: Fork) -> None:
    project = fork()
    project.edit("workflow/papers/ssanet.yaml", "  m4: {}", "  m4: {}\n  guided: {input: {prior: {run: m1}}}")
    project.edit("config.yaml", "only: [ssanet/m1, ssanet/m3]", "only: [ssanet/guided]")
    project.edit("workflow/papers/ssanet.yaml", "m1: {net:", "m1: {train: {epochs: 100}, net:")
    jobs = project.planned()
    assert (jobs["stage"], jobs["train"]) == (2, 4)  # two folds of M1, which changed, and of what it guides
    assert "stage" not in project.planned("--config", "preset=tiny")  # where one job makes a training and its stages


def test_a_training_makes_its_stages_itself_where_they_are_no_jobs(fork: Fork) -> None:
    """With the bytes of a training in two jobs."""
    project = fork()
    project.edit("workflow/papers/ssanet.yaml", "  m4: {}", "  m4: {}\n  guided: {input: {prior: {run: m1}}}")
    folder = project.folder / "results/demo/runs/ssanet/guided/fold0-seed0"
    ask = ["--quiet", "all", "--config", "only=[ssanet/guided]", "--", f"{folder.relative_to(project.folder)}/run.json"]
    project.snakemake(*ask)
    apart = (folder / "model.safetensors").read_bytes()
    project.edit("workflow/presets/small.yaml", "threads:", "stage_jobs: false\nthreads:")
    (folder / "run.json").unlink()
    (folder / "stages/prior/prior.h5").write_bytes(b"damaged")
    project.snakemake(*ask)
    assert (folder / "stages/prior/prior.h5").stat().st_size > len(b"damaged")
    assert (folder / "model.safetensors").read_bytes() == apart


def test_a_truncated_table_of_scores_is_refused(fork: Fork) -> None:
    project = fork()
    cases = project.folder / "results/demo/runs/ssanet/m1/cases.csv"
    cases.write_bytes(cases.read_bytes()[:5000])
    for code, text in project.verbs("table ssanet 3", "doctor").values():
        assert code
        assert "damaged (not what was written); run covidseg repair" in text


def test_predictions_of_another_fold_are_refused(fork: Fork) -> None:
    project = fork()
    run = project.folder / "results/demo/runs/ssanet/m1"
    (run / "fold0-seed0/predictions.h5").write_bytes((run / "fold1-seed0/predictions.h5").read_bytes())
    assert "predictions.h5: damaged (not what was written); run covidseg repair" in project.run(
        "covidseg", "score", "ssanet/m1", fails=True
    )


def test_a_folder_name_is_never_run_as_a_command(fork: Fork) -> None:
    project = fork()
    settings = ["results='$(touch pwned) `touch pwned`'", "only=[ssanet/m1]", "folds=[0]"]
    project.snakemake("--quiet", "all", "--config", *settings)
    assert list(project.folder.rglob("pwned")) == []
    assert (project.folder / "$(touch pwned) `touch pwned`" / "demo" / "report.html").is_file()


def test_python_data_and_mirror_may_lie_in_folders_of_any_name(fork: Fork) -> None:
    if not (Path(sys.prefix) / "pyvenv.cfg").is_file():
        pytest.skip("not a virtual environment; it cannot be had under another name")
    project = fork()
    python = project.folder.parent / "a b'c$(touch pwned){x}\"d"
    (python / "bin").mkdir(parents=True)
    (python / "bin/python").symlink_to(sys.executable)
    (python / "lib").symlink_to(Path(sys.prefix) / "lib")
    shutil.copy(Path(sys.prefix) / "pyvenv.cfg", python)
    mirror, data = 'm "$(touch pwned)', 'd "1" `touch pwned`'
    (project.folder / mirror).mkdir()
    raw = f"{data}/demo/raw/covid-ct-seg/fetched.json"
    settings = ["--config", f"data='{data}'", f"mirror='{mirror}'", "only=[ssanet/m1]", "--", raw]
    project.run(str(python / "bin/python"), "-m", "snakemake", "--cores", "2", *settings)
    assert (project.folder / raw).is_file()
    assert list(project.folder.parent.rglob("pwned*")) == []


def test_a_lock_left_behind_is_said_with_its_remedy(fork: Fork) -> None:
    project = fork()
    for kind in ("input", "output"):
        lock = project.folder / ".snakemake" / "locks" / f"0.{kind}.lock"
        lock.parent.mkdir(exist_ok=True)
        lock.write_text("results/demo/report.html\n")
    (project.folder / "results/demo/report.html").unlink()
    text = project.snakemake("--logger", "covidseg", "--quiet", "all", fails=True)
    assert "another snakemake works here, or one was killed; if none does, run: covidseg resume" in text


def test_snakemake_refuses_a_doubled_key_and_runs_nothing_from_a_file(fork: Fork) -> None:
    project = fork()
    config = project.folder / "config.yaml"
    text = config.read_text()
    config.write_text(text + "mode: paper\n")
    last = len(text.splitlines()) + 1
    said = project.snakemake("--dry-run", fails=True)
    assert f"config.yaml: not valid YAML at line {last}: key 'mode' twice" in said
    config.write_text(text + "__use_yte__: true\n? __import__('os').system('touch pwned')\n: 1\n")
    assert "config.yaml: __use_yte__: unknown key" in project.snakemake("--dry-run", fails=True)
    assert list(project.folder.rglob("pwned")) == []
