"""Records: what was written opens, whatever changed since is refused in one line that names the file."""

import os
from pathlib import Path

import pytest

from covidseg.base import records
from covidseg.base.errors import UserError


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """Return a file with its record beside it."""
    (tmp_path / "a.csv").write_text("x\n1\n")
    records.write(tmp_path / "a.json", [tmp_path / "a.csv"], rows=1)
    return tmp_path / "a.csv"


def refusal(file: Path, record: str = "a.json") -> str:
    with pytest.raises(UserError) as e:
        records.verified(file, record)
    return str(e.value).removeprefix(f"{file.parent}/")


def test_what_was_written_opens(made: Path) -> None:
    assert records.verified(made, "a.json") == made
    found = records.read(made.with_suffix(".json"))
    assert found["rows"] == 1
    # printf 'x\n1\n' | sha256sum
    assert found["sha256"] == {"a.csv": "daff832f802000e645771a60983c76c963f6ee602a6230e45237bd360e91cc1a"}


def test_equal_data_give_an_equal_record(made: Path) -> None:
    before = made.with_suffix(".json").read_bytes()
    records.write(made.with_suffix(".json"), [made], rows=1)
    assert made.with_suffix(".json").read_bytes() == before


def test_a_change_that_keeps_size_and_time_is_refused(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "SETTLED", -1)  # hashes are kept at once
    records.verified(made, "a.json")
    known = made.stat()
    made.write_text("x\n2\n")
    os.utime(made, ns=(known.st_atime_ns, known.st_mtime_ns))
    assert made.stat().st_size == known.st_size
    assert made.stat().st_mtime_ns == known.st_mtime_ns
    assert refusal(made) == "a.csv: damaged (not what was written); run covidseg repair"


def test_an_edited_record_is_refused(made: Path) -> None:
    record = made.with_suffix(".json")
    record.write_text(record.read_text().replace('"rows": 1', '"rows": 2'))
    assert refusal(made) == "a.json: damaged (not what was written); run covidseg repair"


@pytest.mark.parametrize("text", ["", "[]", "{}", "3", '{"sha256": {}}', "[" * 100_000, "\0", '{"record_sha256": []}'])
def test_what_is_no_record_is_refused(text: str, made: Path) -> None:
    made.with_suffix(".json").write_text(text)
    said = refusal(made)
    assert said.startswith("a.json: damaged (")
    assert said.endswith("; run covidseg repair")


def test_what_is_missing_or_not_listed_is_refused(made: Path) -> None:
    other = made.with_name("b.csv")
    other.write_text("x\n")
    assert refusal(other) == "b.csv: damaged (a.json does not list it); run covidseg repair"
    made.unlink()
    assert refusal(made) == "a.csv: missing; run covidseg repair"
    assert refusal(made, "none.json") == "none.json: missing; run covidseg repair"


def test_a_large_file_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(records, "SETTLED", -1)
    monkeypatch.setattr(records, "LARGE", 4)
    Path(".snakemake").mkdir()
    file = Path("a.bin")
    file.write_bytes(b"12345")
    assert records.costly(file)
    first = records.sha256(file)
    records._known.clear()  # as another process
    assert not records.costly(file)
    monkeypatch.setattr(records.hashlib, "file_digest", None)  # reading it would fail
    assert records.sha256(file) == first


def test_a_parser_that_stumbles_names_the_file(tmp_path: Path) -> None:
    def read(error: Exception) -> str:
        with pytest.raises(UserError) as e, records.parsing(tmp_path / "a.csv"):
            raise error
        return str(e.value).removeprefix(f"{tmp_path}/")

    assert read(IndexError("list index out of range")) == (
        "a.csv: damaged (IndexError: list index out of range); run covidseg repair"
    )
    assert read(FileNotFoundError()) == "a.csv: missing; run covidseg repair"
    assert read(UserError("its own words")) == "its own words"
    with pytest.raises(MemoryError), records.parsing(tmp_path):
        raise MemoryError
