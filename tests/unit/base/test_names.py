"""One rule for names: what a case may be called, and what names of YAML may be."""

import re
from pathlib import Path

import pytest

from covidseg.base import names
from covidseg.base.errors import UserError


@pytest.mark.parametrize(
    "case",
    ["s0", "1", "NA", "nan", "None", "null", "coronacases_001", "volume-covid19-A-0003_ct", "Müller 2 (links)",
     "患者1", "1.3.6.1.4.1.14519.5.2.1", "a+b", "x" * 100, "e\u0301lan"],
)  # fmt: skip
def test_names_of_cases(case: str) -> None:
    assert names.problem(case) is None


@pytest.mark.parametrize(
    ("case", "why"),
    [
        ("", "it is empty"),
        ("  ", "it is empty"),
        ("x" * 101, "it is longer than 100 bytes, and files are named after it"),
        ("ä" * 51, "it is longer than 100 bytes, and files are named after it"),
        ("-rf", "it begins with '-', not with a letter or digit"),
        (".hidden", "it begins with '.', not with a letter or digit"),
        ("_a", "it begins with '_', not with a letter or digit"),
        ("=1+1", "it begins with '=', not with a letter or digit"),
        ('"a', "it begins with '\"', not with a letter or digit"),
        ("a,b", "it holds ','"),
        ("a/b", "it holds '/'"),
        ("a{b}", "it holds '{'"),
        ("a\nb", "it holds '\\n'"),
        ("a\x00b", "it holds '\\x00'"),
        ("a\u202eb", "it holds '\\u202e'"),
        ("a$\\frac{$b", "it holds '$'"),
        ("a[/nope]", "it holds '['"),
        ("a\udcff", "it holds '\\udcff'"),
        ("a ", "it ends with a blank or a dot"),
    ],
)
def test_what_cannot_name_a_case(case: str, why: str) -> None:
    assert names.problem(case) == why
    with pytest.raises(UserError, match=re.escape("scan.nii: ")) as e:
        names.check(case, "scan.nii")
    assert str(e.value).isprintable()


def test_names_in_yaml_are_names_of_cases_too(tmp_path: Path) -> None:
    for name in ("a", "A.b-c_1", "x" * 100, "1"):
        assert re.fullmatch(names.PLAIN, name)
        assert names.problem(name) is None
    for name in ("", "-a", "a b", "ä", "x" * 101, "a\n", "a,b"):
        assert not re.fullmatch(names.PLAIN, name)
    scan_and_class = f".{'x' * 100}-{'y' * 100}.nii.gz.making-12345678.gz"  # the longest name that a file takes
    (tmp_path / scan_and_class).touch()
