"""Records of trainings (``run.json``, ``stage.json``) and fingerprints of the code that made a result."""

from __future__ import annotations

import ast
import contextlib
import functools
import hashlib
import importlib.metadata
import platform
import resource
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from covidseg.base import records
from covidseg.base.errors import UserError

PACKAGE = Path(__file__).parents[1]
RUN = "run.json"  # the record of a training
STAGE = "stage.json"  # the record of one of the jobs before a training's last
# These decide nothing that the resolved spec does not already say; a change in them reruns nothing.
WITHOUT_EFFECT = {
    "base.errors",
    "base.files",
    "base.paths",
    "base.records",
    "base.signature",
    "cli",
    "jobs.record",
    "plan",
    "schema",
    "train.progress",
}
CACHE = records.CACHE / "code.json"
MOST = 2000  # sources in the cache, before it starts anew
LIBRARIES = ("torch", "numpy", "scipy", "nibabel", "pillow", "h5py", "lungmask", "monai")


def code_fingerprint(*modules: str) -> str:
    """Return 16 hex digits over the syntax trees of ``modules`` and of all they import of this package.

    Comments, spacing and docstrings do not count. Names are relative to covidseg, as ``train.supervised``.
    """
    before = len(_syntaxes())
    seen: set[str] = set()
    queue = list(modules)
    while queue:
        name = queue.pop()
        if name in seen or name in WITHOUT_EFFECT or name.partition(".")[0] in WITHOUT_EFFECT:
            continue
        seen.add(name)
        queue.extend(_module(name)[1])
    _keep_syntaxes(before)
    text = "\n".join(f"{name} {_module(name)[0]}" for name in sorted(seen))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@functools.cache
def _module(name: str) -> tuple[str, tuple[str, ...]]:
    """Return the hash of a module's code and the modules of this package it imports."""
    code, imports = _syntax(_path(name).read_bytes())
    text = code + "".join(other.read_text("utf-8") for other in _other_files(_path(name)))
    imported = [full if _exists(full) else base for base, full in imports]
    return hashlib.sha256(text.encode()).hexdigest(), tuple(dict.fromkeys(n for n in imported if n))


def _syntax(source: bytes) -> tuple[str, list[tuple[str, str]]]:
    """Return the hash of a source's syntax tree, and of each name that it imports the module and the module with it.

    What an earlier process found for the same source is not found again: parsing the package takes half a second.
    """
    key = hashlib.sha256(platform.python_version().encode() + source).hexdigest()
    if (known := _syntaxes().get(key)) is not None:
        return known
    tree = ast.parse(source)
    imports: list[tuple[str, str]] = []
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            first = node.body[0]
            if (
                isinstance(first, ast.Expr)
                and isinstance(first.value, ast.Constant)
                and isinstance(first.value.value, str)
            ):
                node.body = node.body[1:] or [ast.Pass()]
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("covidseg"):
            base = node.module.removeprefix("covidseg").removeprefix(".")
            imports += [(base, f"{base}.{alias.name}" if base else alias.name) for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [a.name.removeprefix("covidseg.") for a in node.names if a.name.startswith("covidseg.")]
            imports += [(name, name) for name in names]
    found = hashlib.sha256(ast.dump(tree).encode()).hexdigest(), list(dict.fromkeys(imports))
    _syntaxes()[key] = found
    return found


@functools.cache
def _syntaxes() -> dict[str, tuple[str, list[tuple[str, str]]]]:
    """Return what is known of sources by their hash. A damaged cache is as good as none."""
    try:
        kept = records.read(CACHE)
        return {key: (code, [(base, full) for base, full in imports]) for key, (code, imports) in kept["known"].items()}
    except (UserError, OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _keep_syntaxes(before: int) -> None:
    """Keep what was found for other processes, in a project where that can be written."""
    known = _syntaxes()
    if len(known) > before and CACHE.parents[2].is_dir():
        with contextlib.suppress(OSError, UserError):
            records.write(CACHE, known=known if len(known) < MOST else {})


def _other_files(path: Path) -> list[Path]:
    """Return the files of a package other than Python, such as templates, which count as its code."""
    files = path.parent.iterdir() if path.name == "__init__.py" else ()
    return sorted(file for file in files if file.is_file() and file.suffix != ".py")


def _path(name: str) -> Path:
    stem = PACKAGE.joinpath(*name.split("."))
    return stem / "__init__.py" if stem.is_dir() else stem.with_suffix(".py")


def _exists(name: str) -> bool:
    return _path(name).is_file()


def versions() -> dict[str, str]:
    """Return the versions of Python and of the libraries that touch a number."""
    return {"python": platform.python_version()} | {name: importlib.metadata.version(name) for name in LIBRARIES}


def peak_memory_mb() -> int:
    """Return this process's peak resident memory in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def write(path: Path, made: Iterable[Path] = (), **facts: Any) -> None:
    """Write ``run.json`` or ``stage.json``: the given facts, what the job ``made``, versions, machine and peak memory.

    It is written last, so its existence means that the job is finished.
    """
    here = {"versions": versions(), "machine": platform.machine(), "peak_memory_mb": peak_memory_mb()}
    records.write(path, made, **(here | facts))


def read(path: Path) -> dict[str, Any]:
    """Read ``run.json`` or ``stage.json``. Raises UserError when it is missing or damaged."""
    value = records.read(path)
    parts = [value.get(key, {}) for key in ("spec", "inputs")]
    if not all(isinstance(part, dict) for part in parts) or "spec_hash" not in value:
        raise records.damaged(path, "no record of a training")
    return value
