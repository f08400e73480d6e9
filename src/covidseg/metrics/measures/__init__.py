"""The measures that a protocol can ask for: each public function of a file of this folder is one, under its own name.

A measure is ``(pair: Pair) -> float``. The listing is the registry: a new file, or a new function in one, is legal in
``workflow/protocols`` at once. Names are read from the source, so that planning imports none of them.
"""

from __future__ import annotations

import ast
import functools
import importlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from covidseg.metrics.pair import Pair

Measure = Callable[["Pair"], float]


def names() -> dict[str, str]:
    """Return the name of each measure -> the module that defines it. Raises ValueError where two have one name."""
    found: dict[str, str] = {}
    for folder in __path__:
        for path in sorted(Path(folder).glob("[!_]*.py")):
            for name in _functions(path):
                if name in found:
                    raise ValueError(f"{path}: measure {name} is defined in {found[name]}, too")
                found[name] = f"{__name__}.{path.stem}"
    return found


@functools.cache
def load(name: str) -> Measure:
    """Import and return a measure."""
    measure: Measure = getattr(importlib.import_module(names()[name]), name)
    return measure


@functools.cache
def _functions(path: Path) -> list[str]:
    body = ast.parse(path.read_text("utf-8"), str(path)).body
    return [node.name for node in body if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")]
