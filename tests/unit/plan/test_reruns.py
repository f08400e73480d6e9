"""Which jobs an edit makes again, by the hashes that rules hand to Snakemake; inputs that change do the rest."""

import shutil
from pathlib import Path

import pytest

from covidseg.jobs import record
from covidseg.plan import Plan
from tests.conftest import ROOT, edit

PAPER = "workflow/papers/ssanet.yaml"
CONFIG = {"only": ["ssanet/m1", "ssanet/m3"]}


@pytest.fixture(autouse=True)
def _project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand in a folder with a workflow of its own."""
    shutil.copytree(ROOT / "workflow", tmp_path / "workflow")
    monkeypatch.chdir(tmp_path)


def hashes() -> dict[str, str]:
    """Return job -> the hash of what it is made of besides its inputs."""
    plan = Plan.load(CONFIG)
    found = {"report": plan.fingerprints.report()}
    for run in plan.targets.runs():
        found |= {f"train {run}": plan.run(run).hash, f"score {run}": plan.fingerprints.score(run)}
    found |= {f"table {name}": plan.fingerprints.table(paper, name) for paper, name, _ in plan.targets.tables()}
    found |= {f"claims {paper}": plan.fingerprints.claims(paper) for paper in plan.targets.claims()}
    for data in plan.graph.all_datasets():
        found |= {f"fetch {data}": plan.fingerprints.fetch(data), f"import {data}": plan.fingerprints.import_(data)}
        found |= {f"lungs {data}": plan.fingerprints.lungs(data), f"tensors {data}": plan.fingerprints.tensors(data)}
    return found


@pytest.mark.parametrize(
    ("file", "old", "new", "again"),
    [
        (PAPER, "{label: (M3) backbone+SC,", "{label: (M3) backbone with SC,", {"table 3", "report"}),
        (PAPER, "says: Self-attention improves the model", "says: It improves the model", {"claims ssanet", "report"}),
        (
            PAPER,
            "m3: {losses: {self_attention: false}}",
            "m3: {train: {epochs: 90}}",
            {"train ssanet/m3", "table 3", "claims ssanet", "report"},  # the preset's change of epochs is said there
        ),
        ("workflow/protocols/standard.yaml", "title: standard", "title: The standard", {"table 3"}),  # and no scores
        (
            "workflow/protocols/standard.yaml",
            "threshold: 0.5",
            "threshold: 0.4",
            {"score ssanet/m1", "score ssanet/m3", "table 3"},
        ),
    ],
)
def test_an_edit_makes_again_what_it_touches(file: str, old: str, new: str, again: set[str]) -> None:
    before = hashes()
    edit(Path(file), old, new)
    assert {job for job, value in hashes().items() if value != before[job]} == again


def test_a_union_that_changes_trains_again() -> None:
    edit(Path(PAPER), "  classes: [infection]\n  net", "  classes: [joined]\n  net")
    edit(Path("workflow/datasets/covid-ct-seg.yaml"), "keep: lesion", "unions: {joined: [infection]}\nkeep: lesion")
    edit(Path("workflow/datasets/covid-semiseg.yaml"), "unions: {infection:", "unions: {joined: [ggo], infection:")
    before = hashes()
    edit(Path("workflow/datasets/covid-ct-seg.yaml"), "unions: {joined: [infection]}", "unions: {joined: []}")
    changed = {job for job, value in hashes().items() if value != before[job]}
    assert changed >= {"train ssanet/m1", "train ssanet/m3", "score ssanet/m1"}


def test_a_template_counts_as_the_code_of_what_it_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(record.PACKAGE, tmp_path / "covidseg", ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(record, "PACKAGE", tmp_path / "covidseg")

    def fingerprints() -> dict[str, str]:
        record._module.cache_clear()
        return {
            name: record.code_fingerprint(name) for name in ("tables", "claims", "report", "train.methods.supervised")
        }

    before = fingerprints()
    edit(tmp_path / "covidseg/templates/table.html.j2", "<body>", '<body class="x">')
    assert {name for name, value in fingerprints().items() if value != before[name]} == {"tables", "claims", "report"}
    record._module.cache_clear()
