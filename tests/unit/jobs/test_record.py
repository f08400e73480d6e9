"""The code fingerprint sees numbers, not comments."""

from pathlib import Path

import pytest

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
    record._module.cache_clear()
    (tmp_path / "a.py").write_text(MODULE.format(number=1, comment="why"))
    (tmp_path / "helper.py").write_text("two = 2\n")
    return tmp_path


def fingerprint() -> str:
    record._module.cache_clear()
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


def test_the_real_package_separates_networks() -> None:
    record._module.cache_clear()
    assert record.code_fingerprint("nets.ssanet") != record.code_fingerprint("nets.unet")


@pytest.mark.parametrize("text", ["[]", "{}", '{"spec_hash": "a", "inputs": []}', "[" * 100_000])
def test_what_is_no_record_is_one_line(text: str, tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(UserError, match=r"run.json: damaged \(.*\); run covidseg repair"):
        record.read(tmp_path / "run.json")
