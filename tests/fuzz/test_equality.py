"""Whatever happens to a file of a project, the steps that read it refuse it in one line, or end in the same bytes.

A small project is made once. Then one file at a time is damaged and what reads it is done again. Strangers' files lie
in every folder and have to survive. ``COVIDSEG_FUZZ_ROUNDS=45 python -m pytest tests/fuzz`` is the long run.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from covidseg.plan import Plan
from tests.fuzz import mutate, project
from tests.fuzz.test_yaml import refused_in_one_line

LIMIT = 60  # seconds for one input
TIMES = {"seconds", "wall_seconds", "finished", "peak_memory_mb", "slices_per_second", "record_sha256", "sha256"}
NOTE = "labelled.json"  # tells when the scans were written
TIMED = ("report.html", "resources.html", "runs.html", "made-mine.js")  # pages that tell when and how long
STRANGER = project.STRANGER
Steps = Callable[[Plan], project.Steps]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a project whose every step has run."""
    folder, before = tmp_path_factory.mktemp("project"), Path.cwd()
    os.chdir(folder)
    try:
        project.make(Path())
    finally:
        os.chdir(before)
    for place in ("data", "results"):
        for path in [folder / place, *(folder / place).rglob("*")]:
            if path.is_dir():
                (path / STRANGER).write_text("not ours")
    return folder


@pytest.fixture
def fresh(whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Return a function that makes the working directory as ``whole`` is."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "workflow").symlink_to(whole / "workflow")

    def again() -> None:
        for place in ("scans", "data", "results"):
            shutil.rmtree(place, ignore_errors=True)
            shutil.copytree(whole / place, place, copy_function=shutil.copy2)

    return again


# where -> which files, what reads them
TARGETS: dict[str, tuple[str, Steps]] = {
    "scans": ("scans/*Tr/*.nii.gz", project.importing),
    "store": (
        " ".join(f"data/paper/canonical/mine/{name}" for name in ("slices.h5", "slices.csv", "import.json")),
        lambda plan: [*project.cutting(plan), *project.splitting(plan), *project.scoring(plan)[:1]],
    ),
    "lungs": ("data/paper/canonical/mine/lungs.*", lambda plan: [*project.cutting(plan), *project.showing(plan)[:1]]),
    "split": ("data/paper/splits/*", lambda plan: [*project.one_training(plan), *project.showing(plan)[:1]]),
    "tensors": (
        "data/paper/tensors/mine/32/*", lambda plan: [*project.one_training(plan), *project.scoring(plan)[:1]]
    ),
    "training": (
        "results/paper/runs/mine/a/fold*/*",
        lambda plan: [*project.scoring(plan)[:1], *project.masking(plan), *project.showing(plan)[1:]],
    ),
    "scores": ("results/paper/runs/mine/*/*.*", lambda plan: project.showing(plan)[1:]),
    "shown": (
        "results/paper/tables/mine/one.* results/paper/claims/* results/paper/leaks/*", project.reporting
    ),
    "masks": ("results/paper/masks/mine/a/*", lambda plan: [*project.reporting(plan), *project.masking(plan)[:1]]),
    "report": ("results/paper/report.* results/paper/report/* results/paper/*.csv", project.reporting),
}  # fmt: skip


@pytest.mark.parametrize("where", TARGETS)
def test_a_damaged_file_is_refused_or_changes_nothing(
    where: str, whole: Path, fresh: Callable[[], None], capsys: pytest.CaptureFixture[str]
) -> None:
    patterns, steps = TARGETS[where]
    files = sorted(
        path.relative_to(whole)
        for pattern in patterns.split()
        for path in whole.glob(pattern)
        if path.is_file() and path.name != STRANGER
    )
    assert files
    refused = 0
    for number, rng in enumerate(mutate.rounds(3)):
        fresh()
        file = rng.choice(files)
        done = damage(rng, whole / file, file, raw=where == "scans")
        what = f"round {number} of {where}: {file} {done}"
        with limited(what):
            refused += refused_in_one_line(lambda: [step() for step in steps(project.load())], what)
        assert compared(whole, file) == [], what
        capsys.readouterr()
    assert refused or where in ("masks", "report")


def test_doing_every_step_again_changes_nothing(
    whole: Path, fresh: Callable[[], None], capsys: pytest.CaptureFixture[str]
) -> None:
    fresh()
    plan = project.load()
    for steps in (project.importing, project.splitting, project.cutting, project.training, project.scoring,
                  project.showing, project.masking, project.reporting):  # fmt: skip
        for step in steps(plan):
            step()
    assert [file for file in compared(whole, Path()) if not file.endswith(TIMED)] == []
    assert Path("results/paper/report.kept-1", STRANGER).is_file()
    assert "set aside as results/paper/report.kept-1" in capsys.readouterr().err


def damage(rng: random.Random, original: Path, file: Path, raw: bool) -> str:
    """Do something to a file; return what. ``raw``: it came from a person, and may be anything that is whole."""
    known = file.stat()
    kinds = ["bytes"] * 8 + ["empty", "pipe", "loop", "longer", "same times"]
    kinds += [] if raw else ["folder", "missing", "sibling", "text"]  # without its scan a mask is left out, and named
    kind = rng.choice(kinds)
    content = original.read_bytes()
    if kind in ("folder", "pipe", "loop", "missing", "sibling"):
        file.unlink()
    match kind:
        case "folder":
            file.mkdir()
        case "pipe":
            os.mkfifo(file)
        case "loop":
            file.symlink_to(file.name)
        case "sibling":
            others = sorted(path for path in original.parent.iterdir() if path.is_file() and path != original)
            shutil.copy(rng.choice(others), file)
        case "empty":
            file.write_bytes(b"")
        case "longer":
            file.write_bytes(content + rng.randbytes(rng.choice([1, 100, 5000])))
        case "text" if file.suffix in (".json", ".csv", ".md", ".html", ".tex", ".jsonl"):
            file.write_bytes(mutate.text(rng, content.decode()))
        case _ if kind != "missing":
            file.write_bytes(mutate.data(rng, content))
    if kind == "same times":
        os.utime(file, ns=(known.st_atime_ns, known.st_mtime_ns))
    return kind


@contextlib.contextmanager
def limited(what: str) -> Iterator[None]:
    """Fail where the block takes too long: a pipe is waited for without end."""

    def late(*_: object) -> None:
        pytest.fail(f"{what}: more than {LIMIT} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, LIMIT)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def compared(whole: Path, damaged: Path) -> list[str]:
    """Return what differs from the project as it was, but for the damaged file, and for what is to be made again."""
    found = []
    for place in ("scans", "data", "results"):
        for original in sorted((whole / place).rglob("*")):
            path = original.relative_to(whole)
            if original.is_dir() or path == damaged or path.name == NOTE:
                continue
            if not path.is_file():
                ours = place != "scans" and path.name != STRANGER
                if not ours and not set_aside(path):
                    found.append(f"is gone: {path}")
            elif content(path) != content(original):
                found.append(f"differs: {path}")
    return found


def set_aside(path: Path) -> bool:
    """Return whether a file lies in a folder that was renamed, as folders are that hold strangers' files."""
    return any(Path(f"{parent}.kept-1", path.relative_to(parent)).is_file() for parent in path.parents if parent.name)


def content(path: Path) -> Any:
    """Return a file's content, a record's without times and hashes of files that tell times."""
    if path.suffix != ".json":
        return path.read_bytes()
    return timeless(json.loads(path.read_text()))


def timeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: timeless(part) for key, part in value.items() if key not in TIMES}
    return [timeless(part) for part in value] if isinstance(value, list) else value
