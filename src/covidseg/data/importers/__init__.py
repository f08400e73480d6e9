"""The importers: one file per source format, and this folder's listing is the registry.

An importer is a file with a function ``cases(raw, dataset)`` that yields the cases of a data set, one in memory at a
time; ``raw`` is the folder of its files. A file without this function, as ``read.py``, is a helper. Names are read from
the source, so that planning imports none of them.
"""

from __future__ import annotations

import ast
import functools
import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from covidseg.base.errors import UserError, nearest
from covidseg.data.canonical import Case
from covidseg.schema import Dataset, OwnScans


def names() -> list[str]:
    """Return the names of all importers."""
    files = (path for folder in __path__ for path in Path(folder).glob("[!_]*.py"))
    return sorted(path.stem for path in files if _imports_cases(path))


def cases(raw: Path, dataset: Dataset) -> Iterator[Case]:
    """Yield the cases under ``raw`` through the importer the data set names. Raises UserError when there is none."""
    if dataset.importer not in names():
        raise UserError(f"importer: unknown name {dataset.importer!r}; {nearest(dataset.importer, names())}")
    module = importlib.import_module(f"{__name__}.{dataset.importer}")
    yield from module.cases(raw, dataset)


def left_out(raw: Path, dataset: Dataset) -> dict[str, list[str]]:
    """Return reason -> files of a user's folder that its importer does not use; empty where it reads no such folder.

    An importer of a user's own files says so in a function ``left_out(raw, dataset)``.
    """
    module = importlib.import_module(f"{__name__}.{dataset.importer}")
    found: dict[str, list[str]] = module.left_out(raw, dataset) if hasattr(module, "left_out") else {}
    return found


def of_own(scans: OwnScans) -> Any:
    """Return the importer of a user's own files, with ``described`` and ``default_split``."""
    return importlib.import_module(f"{__name__}.{'image_labels' if scans.image_labels else 'folder'}")


@functools.cache
def _imports_cases(path: Path) -> bool:
    body = ast.parse(path.read_text("utf-8"), str(path)).body
    return any(isinstance(node, ast.FunctionDef) and node.name == "cases" for node in body)
