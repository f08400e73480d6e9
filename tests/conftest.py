"""Shared fixtures: the real data where they lie beside the checkout, and one small finished project."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from filelock import FileLock

ROOT = Path(__file__).parents[1]
SMALL = """\
about: fits a test of seconds
size: 32
width: 0.125
epochs: 0.02
batch: 8
accumulate: 1
threads: 1
"""
DONE = ".snakemake/finished"  # in the folder of the project that tests share, once it is whole
EACH = """\
import json, os, sys, tempfile
import covidseg.plan  # imported once for all commands
from covidseg import cli, steps
for line in sys.stdin:
    with tempfile.TemporaryFile("w+") as out:
        child = os.fork()
        if not child:
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            os.dup2(out.fileno(), 1)
            os.dup2(out.fileno(), 2)
            sys.argv[1:] = json.loads(line)
            sys.exit(cli.main())
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        out.seek(0)
        print(json.dumps([code, out.read()]), flush=True)
"""


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Return the folder with real data; tests that need it are skipped where it is absent."""
    named = os.environ.get("COVIDSEG_SHARED_DATA")
    folder = Path(named or ROOT.parent / "shared" / "data")
    if named and not folder.is_dir():
        pytest.fail(f"COVIDSEG_SHARED_DATA: {folder}: no such folder")
    if not folder.is_dir():
        pytest.skip(f"real data not found in {folder}; set COVIDSEG_SHARED_DATA to run this test")
    return folder


class Project:
    """A checkout of its own, in which commands run as a user would run them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._forking: subprocess.Popen[str] | None = None
        self.environment = os.environ | {
            "PYTHONPATH": str(folder / "src"),
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "OMP_NUM_THREADS": "1",
            "PYTHONHASHSEED": "0",
        }
        self.environment.pop("COVIDSEG_MIRROR", None)
        self.environment.pop("PYTHONDONTWRITEBYTECODE", None)  # each of hundreds of processes would compile everything

    def run(self, *command: str, fails: bool = False) -> str:
        """Run a command in the project; return its output. It must succeed, or fail where ``fails``."""
        done = subprocess.run(
            command, cwd=self.folder, env=self.environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        assert (done.returncode != 0) == fails, f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}"
        return done.stdout

    @contextmanager
    def imported_once(self, *modules: str) -> Iterator[None]:
        """Let all commands given to ``verbs`` inside be forks of one process that has imported ``modules``, too.

        The code must not change meanwhile.
        """
        imports = "".join(f"import {module}\n" for module in modules)
        with subprocess.Popen(
            [sys.executable, "-c", imports + EACH], cwd=self.folder, env=self.environment, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        ) as self._forking:  # fmt: skip
            yield
            assert self._forking.stdin
            self._forking.stdin.close()  # its loop ends
        self._forking = None

    def verbs(self, *commands: str) -> dict[str, tuple[int, str]]:
        """Run commands of covidseg, each in a process of its own; return the exit code and the output of each.

        They cost less than by ``run``: the processes are forks of one.
        """
        if self._forking is None:
            with self.imported_once():
                return self.verbs(*commands)
        assert self._forking.stdin
        assert self._forking.stdout
        done = {}
        for command in commands:
            self._forking.stdin.write(json.dumps(shlex.split(command)) + "\n")
            self._forking.stdin.flush()
            code, text = json.loads(self._forking.stdout.readline())
            done[command] = (code, text)
        return done

    def refused(self, *commands: str) -> list[str]:
        """Run commands of covidseg that must fail, with one line each; return the lines."""
        found = self.verbs(*commands).values()
        assert all(code == 2 and "Traceback" not in text for code, text in found), found
        return [text for _, text in found]

    def snakemake(self, *arguments: str, fails: bool = False) -> str:
        return self.run("snakemake", "--cores", "2", *arguments, fails=fails)

    def planned(self, *arguments: str) -> dict[str, int]:
        """Return rule -> number of jobs that a dry run wants."""
        text = self.snakemake("--dry-run", *arguments)
        if "Nothing to be done" in text:
            return {}
        table = text.split("Job stats:")[1].split("total")[0].splitlines()[3:]
        return {line.split()[0]: int(line.split()[1]) for line in table if line.strip()}

    def edit(self, path: str, old: str, new: str) -> None:
        """Replace text that stands once in a file."""
        edit(self.folder / path, old, new)


def edit(file: Path, old: str, new: str) -> None:
    """Replace text that stands once in a file."""
    text = file.read_text()
    assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in {file}"
    file.write_text(text.replace(old, new))


def copy_project(to: Path) -> Project:
    """Copy what git holds of a checkout, without data and results; compiled code comes along, where there is any."""
    for name in ("Snakefile", "config.yaml", "dvc.yaml", "pyproject.toml", ".gitignore", ".dvcignore"):
        shutil.copy(ROOT / name, to / name)
    ignore = shutil.ignore_patterns("cache", "tmp", "config.local")
    for name in ("workflow", "src", "envs", ".dvc"):
        shutil.copytree(ROOT / name, to / name, ignore=ignore)
    return Project(to)


def small_project(to: Path, only: str, folds: str) -> Project:
    """Copy the project and make its demo of these runs and folds small."""
    project = copy_project(to)
    (project.folder / "workflow" / "presets" / "small.yaml").write_text(SMALL)
    project.edit("config.yaml", "preset: auto", "preset: small")
    project.edit("config.yaml", "only: []", f"only: {only}")
    project.edit("config.yaml", "folds: all", f"folds: {folds}")
    project.edit("workflow/datasets/covid-ct-seg.yaml", "size: 128, slices: 7", "size: 64, slices: 4")
    return project


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the longest tests first: of several processes none is left with one of them at the end."""
    items.sort(key=lambda item: ROOT / "tests/workflow" not in item.path.parents)


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Project:
    """A project whose small demo has run: M1 and M3 of SSA-Net on two folds. Tests copy it before they change it.

    It is made once: where several processes run the tests, the first one makes it and the others wait.
    """
    base = tmp_path_factory.getbasetemp()
    folder = (base if worker_id == "master" else base.parent) / "finished"
    with FileLock(f"{folder}.lock"):
        if (folder / DONE).is_file():
            return Project(folder)
        if folder.exists():
            pytest.fail(f"{folder}: another process failed to make this project; its error says why")
        folder.mkdir()
        project = small_project(folder, "[ssanet/m1, ssanet/m3]", "[0, 1]")
        project.snakemake("--quiet", "all", "--logger", "covidseg")
        (folder / DONE).touch()
    return project


@pytest.fixture
def fork(finished: Project, tmp_path: Path) -> Callable[[], Project]:
    """Return a function that gives a copy of the finished project, to change at will."""

    def copy() -> Project:
        shutil.copytree(finished.folder, tmp_path / "fork", copy_function=shutil.copy2)
        return Project(tmp_path / "fork")

    return copy
