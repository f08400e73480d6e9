"""Files that are written from elsewhere in the project are in step with it."""

import re
import runpy
import tomllib
from collections.abc import Callable

import pytest
import yaml
from packaging.requirements import Requirement

from tests.conftest import ROOT


@pytest.mark.parametrize(
    ("script", "function", "folder", "remedy"),
    [
        ("docs/write.py", "pages", "docs/reference", "make docs"),
        ("envs/write.py", "files", "envs", "make envs"),
    ],
)
def test_generated_files_are_what_their_script_writes(script: str, function: str, folder: str, remedy: str) -> None:
    write: Callable[[], dict[str, str]] = runpy.run_path(str(ROOT / script))[function]
    there = {
        path.name: path.read_text("utf-8") for path in (ROOT / folder).glob("*") if path.suffix in (".md", ".yaml")
    }
    assert there == write(), f"run: {remedy}"


def test_the_lock_is_of_these_requirements() -> None:
    """Of names, ranges and extras; the schemas for editors are compared in tests/unit/schema."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    lock = tomllib.loads((ROOT / "uv.lock").read_text("utf-8"))
    (own,) = (package["metadata"] for package in lock["package"] if package["name"] == "covidseg")
    extras = project["project"]["optional-dependencies"]
    asked = {(line, "") for line in project["project"]["dependencies"]}
    asked |= {(line, f"extra == '{extra}'") for extra, lines in extras.items() for line in lines}
    locked = {(line["name"], line.get("specifier", ""), line.get("marker", "")) for line in own["requires-dist"]}
    assert locked == {named(line, marker) for line, marker in asked}, "run: uv lock"
    dev = {(line["name"], line.get("specifier", ""), "") for line in own["requires-dev"]["dev"]}
    assert dev == {named(line, "") for line in project["dependency-groups"]["dev"]}, "run: uv lock"


def named(line: str, marker: str) -> tuple[str, str, str]:
    """Return the name, the range in the lock's order, and the marker of a requirement."""
    wanted = Requirement(line)
    ranges = sorted(str(each) for each in wanted.specifier)
    return wanted.name.lower(), ",".join(sorted(ranges, key=lambda r: r.startswith("<"))), marker


def test_pre_commit_runs_the_linters_of_make_lint() -> None:
    (repo,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text("utf-8"))["repos"]
    hooks = [hook["entry"].removeprefix(".venv/bin/") for hook in repo["hooks"]]
    recipe = re.search(r"^lint: setup\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text("utf-8"), re.M)
    assert recipe is not None
    text = recipe[1].replace("$(BIN)/", "").replace('PATH="$(CURDIR)/.venv/bin:$$PATH" ', "")
    commands = [re.sub(r'PATH="[^"]*" ', "", line).strip() for line in re.split(r"\n|&&", text) if line.strip()]
    bare = {re.sub(r" (\.|--force-exclude)(?= |$)", "", command) for command in commands}
    assert bare == {re.sub(r" (\.|--force-exclude)(?= |$)", "", hook) for hook in hooks}
