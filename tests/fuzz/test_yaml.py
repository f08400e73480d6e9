"""Damaged and hostile YAML files and splits: planning takes them or says one line, and writes nothing."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from covidseg.base.errors import UserError
from covidseg.evaluate import score
from covidseg.plan import Plan
from tests.conftest import ROOT
from tests.fuzz import mutate

FILES = {
    "config": "config.yaml",
    "paper": "workflow/papers/ssanet.yaml",
    "lungs": "workflow/papers/lungmask.yaml",
    "dataset": "workflow/datasets/covid-ct-seg.yaml",
    "preset": "workflow/presets/tiny.yaml",
    "protocol": "workflow/protocols/ssanet.yaml",
    "split": "workflow/splits/ma5.csv",
}


def ask_everything(plan: Plan) -> None:
    """Ask a plan all that the Snakefile asks before a job starts."""
    hashes = plan.fingerprints
    runs = plan.graph.all_runs()
    plan.graph.tensor_sets()
    for _ in plan.targets.figures():
        pass
    for run_id in runs:
        run = plan.run(run_id)
        assert plan.needs.training(run.spec).memory_mb > 0
        assert plan.needs.masks(run.spec).minutes > 0
        _ = (
            run.hash,
            hashes.train_modules(run.spec),
            plan.graph.shown_in(run_id),
            plan.resolver.caveats(run),
            hashes.score(run_id),
        )
        plan.catalogue.split(run.spec.split)
    for name in plan.graph.all_datasets():
        _ = hashes.fetch(name), hashes.import_(name), hashes.lungs(name), hashes.tensors(name)
        hashes.lung_modules(name)
    for checked in plan.graph.leak_sets():
        hashes.leaks(*checked)
    for paper, name, _ in plan.targets.tables():
        hashes.table(paper, name)
    for paper, name, _ in plan.targets.figures():
        hashes.figure(paper, name)
    for paper, _, shown in plan.targets.exhibits():
        assert shown.needs(plan, paper).memory_mb > 0
        _ = shown.reads(plan.targets, paper).files(plan.paths), shown.modules(plan, paper)
    for paper in plan.targets.claims():
        hashes.claims(paper)
    hashes.report()
    _ = plan.catalogue.mirror


def below(folder: Path) -> dict[str, int]:
    return {str(path.relative_to(folder)): path.stat().st_mtime_ns for path in folder.rglob("*")}


def refused_in_one_line(action: Callable[[], Any], what: str) -> bool:
    """Run an action; return whether it was refused. Anything but a UserError of one line fails the test."""
    try:
        action()
    except UserError as e:
        message = str(e)
        assert message.isprintable(), f"{what}: a message that is not one line of text: {message!r}"
        assert len(message) < 2000, f"{what}: {message[:300]}"
        return True
    except Exception as e:
        pytest.fail(f"{what}: {type(e).__name__}: {str(e)[:300]}\n" + "".join(traceback_lines(e)[-4:]))
    return False


def traceback_lines(e: Exception) -> list[str]:
    import traceback

    return traceback.format_tb(e.__traceback__)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "above" / "project"
    folder.mkdir(parents=True)
    shutil.copy(ROOT / "config.yaml", folder)
    shutil.copytree(ROOT / "workflow", folder / "workflow")
    monkeypatch.chdir(folder)
    monkeypatch.delenv("COVIDSEG_MIRROR", raising=False)
    return folder


def written(rng: random.Random, original: str, as_tree: bool) -> bytes:
    if not as_tree or rng.random() < 0.4:
        return mutate.text(rng, original)
    try:
        return yaml.safe_dump(mutate.tree(rng, yaml.safe_load(original)), allow_unicode=True).encode()
    except yaml.YAMLError:
        return mutate.text(rng, original)


@pytest.mark.parametrize("kind", FILES)
def test_planning_takes_a_file_or_says_one_line(kind: str, project: Path) -> None:
    file = project / FILES[kind]
    original, before = file.read_text(), below(project.parent)
    refused = 0
    for number, rng in enumerate(mutate.rounds(25)):
        content = written(rng, original, as_tree=kind != "split")
        file.write_bytes(content)
        (project.parent / "config.yaml").write_text(f"mode: {rng.choice(['demo', 'paper'])}\n")
        config = Path("config.yaml") if kind == "config" else Path("../config.yaml")
        what = f"round {number} of {kind}:\n{difference(original, content)}\n"

        def plan(config: Path = config) -> None:
            made = Plan.load(config)
            ask_everything(made)
            if kind == "protocol":
                masks = np.eye(8, dtype=bool)
                scored = score.Slice("a", "a/000", 0, "infection", masks.astype(np.uint8) * 255, masks, (1.0, 1.0, 1.0))
                protocol = made.catalogue.protocol("ssanet")
                score.summarise(score.score_slices(protocol, [scored]), protocol)

        refused += refused_in_one_line(plan, what)
    file.write_text(original)
    (project.parent / "config.yaml").unlink()
    assert below(project.parent).keys() == before.keys()
    assert refused


def difference(original: str, content: bytes) -> str:
    import difflib

    new = content.decode(errors="replace").splitlines()
    return "\n".join(line[:300] for line in difflib.unified_diff(original.splitlines(), new, lineterm="", n=0))[:3000]
