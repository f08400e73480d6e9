"""Bad YAML gives one line with the path to the key and the nearest legal name."""

import re
from pathlib import Path

import pytest

from covidseg.base.errors import UserError
from covidseg.schema import Config, Dataset, Paper, json_schemas, load, parse
from tests.fuzz.mutate import LAUGHS

HEAD = {"paper": {"title": "a", "authors": "b", "venue": "c", "doi": "d"}, "defaults": {}}
ROWS = {"caption": "x", "protocol": "p", "metrics": {}}


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"mod": "demo"}, "config.yaml: mod: unknown key; did you mean 'mode'?"),
        ({"mode": "dmo"}, "config.yaml: mode: unknown value 'dmo'; did you mean 'demo'?"),
        ({"lungs": {"a": "r23"}}, "config.yaml: lungs.a: unknown value 'r23'; did you mean 'r231'?"),
        ({"folds": ["x"]}, "config.yaml: folds.0: expected a whole number (found 'x')"),
        ({"seeds": [0, 0]}, "config.yaml: seeds: each may be named only once (found '[0, 0]')"),
        ({"folds": []}, "config.yaml: folds: list should have at least 1 item"),
        ({"papers": "ssanet"}, "config.yaml: papers: expected a list, as [one, another] (found 'ssanet')"),
        ({"lungs": "none"}, "config.yaml: lungs: expected keys and values, as {key: value} (found 'none')"),
        ({"papers": ["../ssanet"]}, "config.yaml: papers.0: unusable name '../ssanet'; use letters, digits, dot, dash"),
        ({"results": "a{b}"}, "config.yaml: results: a folder's name cannot hold braces or control characters"),
        ({"data": "a\0b"}, "config.yaml: data: a folder's name cannot hold braces or control characters"),
        ({"mirror": "s3://bucket/x"}, "config.yaml: mirror: expected a folder, not an address (found 's3://bucket/x')"),
        ({"device": "tpu"}, "config.yaml: device: unknown value 'tpu'; did you mean 'cpu'?"),
    ],
)
def test_config_errors_name_the_key(value: dict, message: str) -> None:
    with pytest.raises(UserError) as e:
        parse(Config, value, "config.yaml")
    assert str(e.value).startswith(message)
    assert "\n" not in str(e.value)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (
            {**ROWS, "rows": [{"label": "a", "prited": 1}]},
            "tables.3.rows.0.prited: unknown key; did you mean 'printed'?",
        ),
        ("text", "tables.3: expected keys and values, as {key: value} (found 'text')"),
        ({"captoin": "x", **ROWS, "rows": []}, "tables.3.captoin: unknown key; did you mean 'caption'?"),
        ({"protocol": "p", "metrics": {}, "rows": []}, "tables.3.caption: missing"),
        ({"kind": "datasets", "caption": "x", "rows": []}, "tables.3.columns: missing"),
    ],
)
def test_paper_errors_name_the_path(table: object, message: str) -> None:
    with pytest.raises(UserError) as e:
        parse(Paper, {**HEAD, "tables": {"3": table}}, "p.yaml")
    assert str(e.value) == f"p.yaml: {message}"


@pytest.mark.parametrize(
    ("figure", "message"),
    [
        ({"groups": [{"runs": {"a": "m1"}, "slice": 2}]}, "groups.0.slice: unknown key; did you mean 'slices'?"),
        ({"groups": [{"runs": {}}]}, "groups.0.runs: dictionary should have at least 1 item"),
        ({"kind": "examples", "groups": [{"dataset": "d"}]}, "groups.0.classes: missing"),
        ({"kind": "exampels", "groups": []}, "kind: unknown value 'exampels'; did you mean 'examples'?"),
    ],
)
def test_figure_errors_name_the_path(figure: dict, message: str) -> None:
    with pytest.raises(UserError) as e:
        parse(Paper, {**HEAD, "figures": {"5": {"caption": "x", **figure}}}, "p.yaml")
    assert str(e.value).startswith("p.yaml: figures.5")
    assert message in str(e.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("mode: [\n", "not valid YAML at line 2"),
        ("- a\n- b\n", "expected keys and values, found list"),
        ("a: 1\nb: : 2\n", "not valid YAML at line 2"),
        ("mode: !!timestamp x\n", "not valid YAML: "),
        ("'[[]]': 1\n", "[[]]: unknown key; legal: data,"),
        ('"a\\nb\\0": 1\n', "a b\\x00: unknown key"),
        ("mode: demo\nmode: paper\n", "not valid YAML at line 2: key 'mode' twice"),
        (LAUGHS, "not valid YAML: more than 2000000 values, aliases counted as what they stand for"),
        ("a: &a [*a]", "not valid YAML: more than 2000000 values"),
        ("[" * 100_000, "not valid YAML: values nested more than 100 deep"),  # would end Python, not only this test
    ],
)
def test_a_broken_file_is_one_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(text)
    with pytest.raises(UserError) as e:
        load(Config, path)
    assert str(e.value).startswith(f"{path}: {message}")
    assert "\n" not in str(e.value)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({"name": "../a.zip"}, "expected a path inside the data set's folder (found '../a.zip')"),
        ({"name": "/a.zip"}, "expected a path inside the data set's folder"),
        ({"name": "a", "manifest": "../../m.csv"}, "expected a path inside the data set's folder"),
        ({"name": "a", "urls": ["file:///etc/passwd"]}, "expected https://..., http://... or figshare:ARTICLE"),
        ({"name": "a", "urls": ["https://me:secret@host/a"]}, "a password does not belong here; put the file into the"),
    ],
)
def test_sources_stay_in_their_folder_and_tell_no_passwords(source: dict, message: str) -> None:
    head = {"title": "a", "about": "b", "licence": "c", "importer": "folder", "classes": {"x": 1}}
    with pytest.raises(UserError, match=re.escape(message)) as e:
        parse(Dataset, head | {"sources": [source]}, "d.yaml")
    assert "secret" not in str(e.value)


def test_two_names_for_one_value_are_refused() -> None:
    about = {"title": "t", "about": "a", "licence": "l", "importer": "folder", "classes": {"ggo": 1, "glass": 1}}
    with pytest.raises(UserError, match=r"^d\.yaml: classes: ggo and glass are both 1; give each a value of its own"):
        parse(Dataset, about, "d.yaml")


def test_a_message_is_one_short_line_without_passwords() -> None:
    text = str(UserError(f"https://me:secret@host/a:\nbroken\x1b[31m {'x' * 3000}"))
    assert text.startswith("https://***@host/a: broken\\x1b[31m xxx")
    assert text.isprintable()
    assert len(text) < 1010


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"config\.yaml: no such file"):
        load(Config, tmp_path / "config.yaml")


def test_the_schemas_for_editors_are_in_step() -> None:
    folder = Path(__file__).parents[3] / "workflow" / "schemas"
    assert {path.name: path.read_text() for path in folder.iterdir()} == json_schemas(), "run: make schemas"
