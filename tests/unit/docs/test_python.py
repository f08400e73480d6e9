"""The page on use from Python: its example runs and prints what the page says; imports stay cheap."""

import importlib
import inspect
import re
import subprocess
import sys

import pytest

from tests.conftest import ROOT

PAGE = (ROOT / "docs" / "python.md").read_text("utf-8")


def test_the_example_prints_what_the_page_says(capsys: pytest.CaptureFixture[str]) -> None:
    example = re.search(r"```python\n(.*?)```\n\nIt prints:\n\n```\n(.*?)```", PAGE, re.S)
    assert example is not None
    exec(compile(example[1], "docs/python.md", "exec"), {})
    assert capsys.readouterr().out == example[2]


@pytest.mark.parametrize("module", re.findall(r"^\| `covidseg\.(\w+)` \|", PAGE, re.M))
def test_what_the_page_lists_is_there_with_these_arguments(module: str) -> None:
    found = importlib.import_module(f"covidseg.{module}")
    row = re.search(rf"^\| `covidseg\.{module}` \| (.*) \|$", PAGE, re.M)
    assert row is not None
    for name, arguments in re.findall(r"`(\w+)\(([^)]*)\)`", row[1]):
        legal = [*inspect.signature(getattr(found, name)).parameters]
        shown = [argument for argument in arguments.split(", ") if argument]
        assert shown == legal[: len(shown)], f"{module}.{name}{legal}"


def test_importing_the_public_modules_imports_no_library() -> None:
    code = "import sys; from covidseg import evaluate, inference, losses, metrics, nets; print(*sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"torch", "numpy", "pandas", "pydantic", "scipy", "nibabel"} & {*said}
