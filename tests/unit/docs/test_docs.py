"""The documentation against the program: every link, verb, option, file and YAML block must exist and be legal."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import typer
import yaml

from covidseg import metrics
from covidseg.cli import app
from covidseg.schema import Config, Paper, Protocol, RunSpec
from tests.conftest import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
SNAKEMAKES = ("Directory cannot be locked",)  # messages that are not ours
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
            elif "engine" in value:
                Protocol.model_validate(value)
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


def test_the_page_on_metrics_says_what_empty_masks_get() -> None:
    """Of every measure, on two slices of 3 x 4 pixels; where the page has a number it is the computed one."""
    page = (ROOT / "docs/metrics.md").read_text("utf-8").split("\n## Formulas\n")[1].split("\n## ")[0]
    nothing, something = np.zeros((2, 3, 4), bool), np.zeros((2, 3, 4), bool)
    something[:, 1, 1:3] = True
    pairs = ((nothing, nothing), (something, nothing), (nothing, something))
    told = set()
    for line in re.findall(r"^\|.*", page.split("\nThe toolbox")[0], re.M):
        cells = [cell.strip() for cell in line.replace("\\|", "").strip("|").split("|")]
        for name in re.findall(r"`(\w+)`", cells[0]):
            told.add(name)
            if name == "hd95_rowset":  # of slices
                continue
            for said, (truth, mask) in zip(cells[-3:], pairs, strict=True):
                value = metrics.measure(name, truth, mask, (1.0, 1.0, 1.0))
                if re.fullmatch(r"-?\d+", said):
                    assert value == float(said), f"{name}: {said}"
                assert np.isnan(value) == (said == "no value"), f"{name}: {said}"
    assert told == {*metrics.names()}


def test_messages_in_troubleshooting_are_the_programs() -> None:
    """A message is quoted without the names in it, as parts that the program's files hold."""
    files = [*ROOT.glob("src/**/*.py"), ROOT / "Makefile"]
    program = re.sub(r'"\s*f?"', "", " ".join(" ".join(path.read_text("utf-8").split()) for path in files))
    page = (ROOT / "docs/troubleshooting.md").read_text("utf-8")
    for row in re.findall(r"^\| (`.*?) \|", page, re.M):
        for quoted in re.findall(r"`([^`]+)`", row):
            assert quoted in program or quoted in SNAKEMAKES, quoted


def test_verbs_and_settings_each_have_a_page() -> None:
    """Every verb is described on a page besides the reference, and every key of config.yaml too."""
    text = "\n".join(page.read_text("utf-8") for page in PAGES if "reference" not in page.parts)
    verbs = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    assert [verb for verb in verbs if not re.search(rf"\b{verb}\b", text)] == []
    assert [key for key in Config.model_fields if not re.search(rf"`{key}\b|{key}:|{key}=", text)] == []
