"""The code fingerprint sees numbers, not comments."""

import resource
from pathlib import Path
from typing import Any

import pytest

from covidseg.base import records
from covidseg.base.errors import UserError
from covidseg.jobs import record

MODULE = '''"""Doc."""
from covidseg.helper import two

def f(x):
    """Say."""
    return x + {number}  # {comment}
'''


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(record, "PACKAGE", tmp_path)
    monkeypatch.chdir(tmp_path)
    forget()
    (tmp_path / "a.py").write_text(MODULE.format(number=1, comment="why"))
    (tmp_path / "helper.py").write_text("two = 2\n")
    return tmp_path


def forget() -> None:
    """Begin as a new process does."""
    record._module.cache_clear()
    record._syntaxes.cache_clear()


def fingerprint() -> str:
    forget()
    return record.code_fingerprint("a")


def test_a_comment_or_docstring_changes_nothing(package: Path) -> None:
    before = fingerprint()
    (package / "a.py").write_text(MODULE.format(number=1, comment="because").replace("Say.", "Says\n\n    more."))
    assert fingerprint() == before


def test_a_number_changes_it(package: Path) -> None:
    before = fingerprint()
    (package / "a.py").write_text(MODULE.format(number=2, comment="why"))
    assert fingerprint() != before


def test_a_number_in_an_imported_module_changes_it(package: Path) -> None:
    before = fingerprint()
    (package / "helper.py").write_text("two = 3\n")
    assert fingerprint() != before


def test_what_was_found_once_is_kept_for_other_processes(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = fingerprint()
    assert not record.CACHE.exists()  # here is no project
    record.CACHE.parents[2].mkdir()
    assert fingerprint() == before
    with monkeypatch.context() as patch:
        patch.delattr(record.ast, "parse")
        assert fingerprint() == before
    (package / "a.py").write_text(MODULE.format(number=2, comment="why"))
    changed = fingerprint()
    assert changed != before
    text = record.CACHE.read_text()
    for damaged in (text.replace('"helper"', '"hepler"', 1), text[:-20], "[]", "{}"):
        record.CACHE.write_text(damaged)
        assert fingerprint() == changed


def test_the_real_package_separates_networks() -> None:
    forget()
    assert record.code_fingerprint("nets.ssanet") != record.code_fingerprint("nets.unet")


@pytest.mark.parametrize("text", ["[]", "{}", '{"spec_hash": "a", "inputs": []}', "[" * 100_000])
def test_what_is_no_record_is_one_line(text: str, tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(UserError, match=r"run.json: damaged \(.*\); run covidseg repair"):
        record.read(tmp_path / "run.json")


@pytest.mark.parametrize("facts", [{"spec": {}, "inputs": {}}, {"spec_hash": "a", "inputs": []}])
def test_a_whole_record_of_something_else_is_no_training(facts: dict[str, Any], tmp_path: Path) -> None:
    records.write(tmp_path / "run.json", **facts)
    with pytest.raises(UserError, match=r"run.json: damaged \(no record of a training\); run covidseg repair"):
        record.read(tmp_path / "run.json")
    records.write(tmp_path / "run.json", spec_hash="a", inputs={})
    assert record.read(tmp_path / "run.json")["spec_hash"] == "a"


def test_memory_is_told_in_mib() -> None:
    assert record.peak_memory_mb() == resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
