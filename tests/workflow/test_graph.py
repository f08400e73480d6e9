"""What reruns, and what does not; what is refused before anything runs."""

import json
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Project

Fork = Callable[[], Project]


def test_nothing_is_left_to_do(finished: Project) -> None:
    said = finished.snakemake("--dry-run", "--logger", "covidseg", "--quiet", "all")
    assert said == "Nothing to be done: all that was asked for is there and up to date.\n"


def test_a_comment_reruns_nothing(fork: Fork) -> None:
    project = fork()
    for module in ("train/supervised.py", "nets/ssanet.py", "tables/results.py", "data/phantom/__init__.py"):
        file = project.folder / "src" / "covidseg" / module
        file.write_text(file.read_text() + "\n# a comment\n")
    assert project.planned() == {}


def test_a_row_reruns_its_own_jobs_and_no_other(fork: Fork) -> None:
    project = fork()
    project.edit("workflow/papers/ssanet.yaml", "m3: {losses: {self_attention: false}}", "m3: {train: {batch: 4}}")
    project.edit("workflow/presets/small.yaml", "batch: 8\n", "")
    project.edit("workflow/papers/ssanet.yaml", "batch: 2\n", "batch: 8\n")
    # M1's batch is 8 as before; M3 changed: its two folds, its scores, table 3, claims and what shows them.
    assert project.planned() == {"all": 1, "train": 2, "score": 1, "table": 1, "claims": 1, "report": 1}


def test_a_label_remakes_the_table_only(fork: Fork) -> None:
    project = fork()
    project.edit("workflow/papers/ssanet.yaml", "{label: (M3) backbone+SC,", "{label: (M3) backbone with SC,")
    assert project.planned() == {"all": 1, "table": 1, "report": 1}


def test_a_changed_loss_reruns_trainings(fork: Fork) -> None:
    project = fork()
    file = project.folder / "src" / "covidseg" / "losses" / "dice.py"
    file.write_text(file.read_text() + "\nEXTRA = 1\n")
    assert project.planned()["train"] >= 4


def test_a_table_refuses_a_result_of_another_spec(fork: Fork) -> None:
    project = fork()
    project.edit("workflow/presets/small.yaml", "epochs: 0.02", "epochs: 0.04")
    text = project.run("covidseg", "table", "ssanet", "3", fails=True)
    assert "run.json: made from another spec (train.epochs was 3, is 6); run snakemake to make it again" in text
    assert "Traceback" not in text


def test_claims_refuse_a_result_of_another_spec(fork: Fork) -> None:
    project = fork()
    project.edit("workflow/presets/small.yaml", "epochs: 0.02", "epochs: 0.04")
    text = project.run("covidseg", "claims", "ssanet", fails=True)
    assert "run.json: made from another spec (train.epochs was 3, is 6); run snakemake to make it again" in text
    assert "Traceback" not in text


def test_a_claims_words_remake_the_claims_only(fork: Fork) -> None:
    project = fork()
    project.edit(
        "workflow/papers/ssanet.yaml", "says: Self-attention improves the model", "says: It improves the model"
    )
    assert project.planned() == {"all": 1, "claims": 1, "report": 1}


def test_a_damaged_record_is_one_line(fork: Fork) -> None:
    project = fork()
    (project.folder / "results/demo/runs/ssanet/m1/fold0-seed0/run.json").write_text("{")
    text = project.run("covidseg", "table", "ssanet", "3", fails=True)
    assert "fold0-seed0/run.json: damaged" in text
    assert "Traceback" not in text


def test_a_union_that_changes_reruns_what_it_touches(fork: Fork) -> None:
    project = fork()
    project.edit("workflow/papers/ssanet.yaml", "  classes: [infection]\n  net", "  classes: [joined]\n  net")
    project.edit("workflow/datasets/covid-ct-seg.yaml", "keep: lesion", "unions: {joined: [infection]}\nkeep: lesion")
    project.edit("workflow/datasets/covid-semiseg.yaml", "unions: {infection:", "unions: {joined: [ggo], infection:")
    before = project.planned()
    assert before["train"] == 4
    project.edit("workflow/datasets/covid-ct-seg.yaml", "unions: {joined: [infection]}", "unions: {joined: []}")
    assert "train" in project.planned()


def test_a_word_in_a_protocol_scores_nothing_again(fork: Fork) -> None:
    project = fork()
    file = project.folder / "workflow/protocols/standard.yaml"
    file.write_text(file.read_text().replace("title: ", "title: The ", 1))
    assert "score" not in project.planned()


def test_a_template_remakes_tables(fork: Fork) -> None:
    project = fork()
    file = project.folder / "src/covidseg/templates/table.html.j2"
    file.write_text(file.read_text().replace("<body>", '<body class="x">'))
    assert set(project.planned()) == {"all", "table", "claims", "report"}


def test_a_dry_run_leaves_the_settings_of_a_running_workflow(fork: Fork) -> None:
    project = fork()
    configs = project.folder / "results/demo/configs"
    before = {path.name: path.read_text() for path in configs.iterdir()}
    project.snakemake("--dry-run", "--config", "seeds=[1]")
    after = {path.name: path.read_text() for path in configs.iterdir()}
    assert before.items() <= after.items()
    assert len(after) == len(before) + 1


def test_scores_of_other_predictions_are_refused(fork: Fork) -> None:
    project = fork()
    job = project.folder / "results/demo/runs/ssanet/m1/fold0-seed0/run.json"
    facts = json.loads(job.read_text())
    facts["outputs"]["predictions.h5"] = "0" * 64
    job.write_text(json.dumps(facts))
    text = project.run("covidseg", "table", "ssanet", "3", fails=True)
    assert "ssanet/m1/cases.csv: made from other predictions or protocols; run covidseg score ssanet/m1 again" in text


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("folds: [0, 1]", "folds: [7]", "config.yaml: folds: split 'ma5' has folds 0, 1, 2, 3, 4 only"),
        ("seeds: [0]", "seeds: [-1]", "config.yaml: seeds.0: input should be greater than or equal to 0"),
        ("mode: demo", "mode: demmo", "config.yaml: mode: unknown value 'demmo'; did you mean 'demo'?"),
        ("seeds: [0]", "sedes: [0]", "config.yaml: sedes: unknown key; did you mean 'seeds'?"),
        ("papers: [ssanet, infnet]", "papers: [ssanett]", "unknown paper 'ssanett'; did you mean 'ssanet'?"),
    ],
)
def test_a_typo_in_the_config_stops_before_the_graph(fork: Fork, old: str, new: str, message: str) -> None:
    project = fork()
    project.edit("config.yaml", old, new)
    text = project.snakemake("--dry-run", fails=True)
    assert message in text
    assert "Traceback" not in text


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "m4: {}",
            "m4: {net: {spatial_con: true}}",
            "workflow/papers/ssanet.yaml: runs.m4.net.spatial_con: unknown key; did you mean 'spatial_conv'?",
        ),
        (
            "m4: {}",
            "m4: {dataset: covid-ct-sge}",
            "papers/ssanet.yaml: runs.m4.dataset: unknown data set 'covid-ct-sge'; did you mean 'covid-ct-seg'?",
        ),
        ("m4: {}", "m4: {follow: {skp: released}}", "runs.m4.follow: unknown deviation 'skp'; did you mean 'skip'?"),
        (
            "    better: m4\n    than: m2\n",
            "    better: m4\n    than: m22\n",
            "claims.sc-helps-with-sa: unknown name 'm22'; did you mean 'm2'?",
        ),
        ("net: {name: ssanet,", "net: {name: ssanett,", "did you mean 'ssanet'?"),
        (
            "self-attention learning\n    protocol: ssanet\n    metrics: {DSC: dsc,",
            "self-attention learning\n    protocol: ssanet\n    metrics: {DSC: dcs,",
            "tables.3.metrics: unknown name 'dcs'; did you mean 'dsc'?",
        ),
    ],
)
def test_a_typo_in_a_paper_stops_before_the_graph(fork: Fork, old: str, new: str, message: str) -> None:
    project = fork()
    project.edit("workflow/papers/ssanet.yaml", old, new)
    text = project.snakemake("--dry-run", fails=True)
    assert message in text
    assert "Traceback" not in text


def test_every_mode_and_preset_makes_a_graph(fork: Fork) -> None:
    project = fork()
    for settings in (["mode=paper", "only=[]", "folds=all", "preset=full"], ["only=[]", "folds=all", "preset=tiny"]):
        text = project.snakemake("--dry-run", "--logger", "covidseg", "--quiet", "all", "--config", *settings)
        assert re.match(r"\d+ jobs: .*train \d+, .*report 1\n", text)
        assert "would do: train ssanet/m4 fold 0 seed 0 (table 3, " in text


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
    jobs = project.planned()
    assert (jobs["stage"], jobs["train"]) == (2, 2)  # two folds; M1 is there already
    project.edit("workflow/papers/ssanet.yaml", "m1: {net:", "m1: {train: {epochs: 100}, net:")
    jobs = project.planned()
    assert (jobs["stage"], jobs["train"]) == (2, 4)


def test_a_truncated_table_of_scores_is_refused(fork: Fork) -> None:
    project = fork()
    cases = project.folder / "results/demo/runs/ssanet/m1/cases.csv"
    cases.write_bytes(cases.read_bytes()[:5000])
    assert "damaged: not what was written" in project.run("covidseg", "table", "ssanet", "3", fails=True)
    assert "damaged: not what was written" in project.run("covidseg", "doctor", fails=True)


def test_predictions_of_another_fold_are_refused(fork: Fork) -> None:
    project = fork()
    run = project.folder / "results/demo/runs/ssanet/m1"
    (run / "fold0-seed0/predictions.h5").write_bytes((run / "fold1-seed0/predictions.h5").read_bytes())
    assert "not the file that run.json names" in project.run("covidseg", "score", "ssanet/m1", fails=True)


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


@pytest.mark.parametrize("name", ["$(touch pwned)", "../m3", "a b", "{x}", ""])
def test_a_name_that_is_no_name_is_refused(fork: Fork, name: str) -> None:
    project = fork()
    project.edit("workflow/papers/ssanet.yaml", "  m4: {}", f"  m4: {{}}\n  '{name}': {{}}")
    text = project.snakemake("--dry-run", fails=True)
    assert f"unusable name {name!r}; use letters, digits, dot, dash and underscore" in text
    assert list(project.folder.rglob("pwned")) == []


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
