"""The documentation against the program: every link, verb, option, file and YAML block must exist and be legal."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import typer
import yaml

from covidseg.cli import app
from covidseg.schema import Config, Paper, RunSpec
from tests.conftest import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
OWN = ("workflow/papers/mine.yaml",)  # what a reader writes


def pages() -> list[tuple[str, str]]:
    return [(str(page.relative_to(ROOT)), page.read_text("utf-8")) for page in PAGES]


@pytest.mark.parametrize(("name", "text"), pages(), ids=[name for name, _ in pages()])
class TestPage:
    def test_links_lead_somewhere(self, name: str, text: str) -> None:
        for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text):
            if "://" not in target:
                assert (ROOT / name).parent.joinpath(target).exists(), target

    def test_headings_that_links_name_exist(self, name: str, text: str) -> None:
        for target, anchor in re.findall(r"\]\(([^)#]*)#([^)]+)\)", text):
            page = (ROOT / name).parent / target if target else ROOT / name
            headings = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.M)
            assert anchor in [re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-") for heading in headings]

    def test_verbs_and_options_are_the_programs(self, name: str, text: str) -> None:
        verbs = typer.main.get_command(app).commands  # type: ignore[attr-defined]
        code = "\n".join([*re.findall(r"```\w*\n(.*?)```", text, re.S), *re.findall(r"`([^`\n]+)`", text)])
        for verb, rest in re.findall(r"^covidseg ([a-z][a-z-]*)([^\n|#]*)", code, re.M):
            assert verb in verbs, verb
            known = {flag for option in verbs[verb].params for flag in option.opts}
            assert {*re.findall(r"(?<=\s)--[a-z-]+", rest)} <= known | {"--help"}, f"{verb}{rest}"

    def test_files_exist(self, name: str, text: str) -> None:
        for path in re.findall(r"`((?:src|workflow|docs|tests|benchmarks|envs)/[\w./-]+)`", text):
            assert path in OWN or "NAME" in path or ROOT.joinpath(path).exists(), path

    def test_yaml_is_legal(self, name: str, text: str) -> None:
        for block in re.findall(r"```yaml\n(.*?)```", text, re.S):
            value = yaml.safe_load(block)
            assert isinstance(value, dict)
            if "paper" in value:
                Paper.model_validate(value)
            elif {*value} & {"runs", "tables", "claims", "figures"}:
                check_part_of_a_paper(value)
            else:
                Config.model_validate(value)


def check_part_of_a_paper(value: dict[str, object]) -> None:
    """Validate what a page shows of a paper file; its runs are laid over a run that is whole."""
    paper = Paper.model_validate({"paper": {"title": "shown"}, "defaults": {}, "runs": {}} | with_captions(value))
    whole = {"dataset": "d", "split": "s", "classes": ["infection"], "net": {"name": "ssanet"}, "losses": {"dice": {}}}
    for own in paper.runs.values():
        RunSpec.model_validate(whole | (own or {}))


def with_captions(value: dict[str, object]) -> dict[str, object]:
    """Return the tables that a page shows in part with what the rest of them says."""
    tables = value.get("tables", {})
    assert isinstance(tables, dict)
    rest = {"caption": "shown", "protocol": "standard", "metrics": {"Dice": "dice"}}
    return value | {"tables": {name: rest | table for name, table in tables.items()}}


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text("utf-8").splitlines()) <= 150


def test_every_page_is_reached_from_the_readme() -> None:
    reached, queue = set(), [ROOT / "README.md"]
    while queue:
        page = queue.pop()
        if page in reached or page.suffix != ".md":
            continue
        reached.add(page)
        links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text("utf-8"))
        queue += [(page.parent / link).resolve() for link in links if "://" not in link]
    assert {page.resolve() for page in PAGES} <= {page.resolve() for page in reached}


def test_folders_named_in_the_readme_are_there() -> None:
    named = {name for name in re.findall(r"`([a-z]+)`", (ROOT / "README.md").read_text("utf-8"))}
    packages = {path.name for path in Path(ROOT / "src/covidseg").iterdir() if (path / "__init__.py").is_file()}
    assert packages - {"base", "schema", "templates"} <= named
