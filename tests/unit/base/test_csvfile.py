"""CSV: text comes back as it was, numbers as numbers, and no spreadsheet finds a formula."""

import csv
import io
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from covidseg.base import csvfile

ROWS = [
    {"case": "NA", "dsc": 0.5, "fold": 0, "why": 'a, "b"\nc'},
    {"case": "nan", "dsc": float("nan"), "fold": 1, "why": ""},
    {"case": "1", "dsc": None, "fold": 2, "why": "=1+1"},
    {"case": "null", "dsc": 1 / 3, "fold": 3, "why": "'quoted"},
]
TEXT = ("case", "why")
WRITTEN = """\
"case","dsc","fold","why"
"NA",0.5,0,"a, ""b""
c"
"nan",,1,""
"1",,2,"'=1+1"
"null",0.3333333333333333,3,"''quoted"
"""


def kind(column: str) -> type:
    return {"case": str, "why": str, "fold": int}.get(column, float)


def test_text_is_quoted_and_numbers_are_not(tmp_path: Path) -> None:
    csvfile.write(tmp_path / "a.csv", list(ROWS[0]), ROWS)
    assert (tmp_path / "a.csv").read_text() == WRITTEN
    read = list(csvfile.read(tmp_path / "a.csv", kind))
    assert [row["case"] for row in read] == ["NA", "nan", "1", "null"]
    assert [row["why"] for row in read] == [row["why"] for row in ROWS]
    assert [row["fold"] for row in read] == [0, 1, 2, 3]
    assert read[0]["dsc"] == 0.5
    assert read[1]["dsc"] != read[1]["dsc"]  # not a number
    frame = csvfile.frame(tmp_path / "a.csv", TEXT)
    assert frame.case.tolist() == ["NA", "nan", "1", "null"]
    assert frame.why.tolist() == [row["why"] for row in ROWS]
    assert frame.dsc.isna().tolist() == [False, True, True, False]
    assert frame.fold.tolist() == [0, 1, 2, 3]


def test_a_frame_and_fixed_decimals(tmp_path: Path) -> None:
    frame = pd.DataFrame({"row": ["NA", "@x", ""], "ours": [0.5, None, 2.0], "slices": [3, 4, 5]})
    csvfile.write_frame(tmp_path / "a.csv", frame, digits=6)
    assert (tmp_path / "a.csv").read_text() == ('"row","ours","slices"\n"NA",0.500000,3\n"\'@x",,4\n"",2.000000,5\n')
    assert csvfile.frame(tmp_path / "a.csv", ["row"]).equals(frame.astype({"row": "str"}))


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=8), min_size=1, max_size=5))
def test_every_text_comes_back_and_begins_like_no_formula(texts: list[str]) -> None:
    lines = ['"a"\n', *(csvfile._quoted(text) + "\n" for text in texts)]
    file = io.StringIO("".join(lines), newline="")
    assert [row["a"] for _, row in csvfile.parse(file, csvfile.all_text)] == texts
    plain = csv.reader(io.StringIO("".join(lines), newline=""))  # as a spreadsheet reads it
    assert not any(cell.startswith(tuple("=+-@\t\r\n＝＋－＠")) for row in plain for cell in row)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a,b\n1\n", "line 2: 1 fields for 2 columns"),
        ("a,b\n1,2,3\n", "line 2: 3 fields for 2 columns"),
        ("a,a\n1,2\n", "column 'a' stands twice"),
        ('a\n"x\n', "line 2: unexpected end of data"),
        ("dsc\nx\n", "could not convert string to float: 'x'"),
        ("fold\n1.5\n", "invalid literal for int"),
    ],
)
def test_what_is_no_table_is_refused(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(ValueError, match=said):
        list(csvfile.read(tmp_path / "a.csv", kind))


def test_nothing_else_reads_or_writes_csv() -> None:
    source = Path(csvfile.__file__).parents[1]
    for word in ("import csv\n", "read_csv", "to_csv", "DictReader", "DictWriter"):
        users = {path.name for path in source.rglob("*.py") if word in path.read_text("utf-8")}
        assert users <= {"csvfile.py"}, word
