"""The record of a data set's raw files, ``raw/fetched.json``: what came from where, and every file as it lies there."""

from __future__ import annotations

import contextlib
import json
import shutil
from pathlib import Path
from typing import Any

from covidseg.base import files, records

RECORD = "fetched.json"
KEPT = ".fetched.json"  # the same once more: Snakemake removes a job's outputs, so also the record, before it runs


def recorded(path: Path) -> dict[str, Any]:
    """Return an earlier record, or the copy of one that Snakemake removed; nothing when there is no whole one."""
    for file in (path, path.with_name(KEPT)):
        with contextlib.suppress(OSError, ValueError, AttributeError, RecursionError):
            found = json.loads(file.read_text("utf-8"))
            if isinstance(found.get("files"), dict | int):
                return dict(found)
    return {}


def write(folder: Path, record: dict[str, Any]) -> None:
    """Write the record of a folder of raw files, and its copy."""
    for name in (KEPT, RECORD):
        files.write_json(folder / name, record)


def left_out(raw: Path) -> set[str]:
    """Return the sources that the last fetch left out, whatever lies there of them."""
    return set(recorded(raw / RECORD).get("left_out", {}))


def tree(folder: Path) -> dict[str, str]:
    """Return path -> sha256 of every file below a folder, without the record itself and files in the making."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and name != RECORD and not path.name.startswith("."):
            found[name] = files.sha256(path)
    return found


def as_recorded(folder: Path, raw: Path, listed: dict[str, str]) -> bool:
    """Return whether a folder below ``raw`` holds exactly the files that an earlier record lists there."""
    prefix = "" if folder == raw else f"{folder.relative_to(raw).as_posix()}/"
    return {prefix + name: value for name, value in tree(folder).items()} == {
        name: value for name, value in listed.items() if name.startswith(prefix)
    }


def make_way(folder: Path, raw: Path, listed: dict[str, str]) -> Path | None:
    """Remove a folder in which all files are as ``listed``, path below ``raw`` -> sha256, by an earlier record.

    One that holds others, or a file that was changed since, is set aside under a new name, which is returned: they may
    be somebody's work.
    """
    if folder.is_symlink() or not folder.exists():
        return None
    inside = [path for path in folder.rglob("*") if not path.is_dir() or path.is_symlink()]
    if folder.is_dir() and all(_ours(path, raw, listed) for path in inside):
        shutil.rmtree(folder)
        return None
    number = 1
    while (kept := folder.with_name(f"{folder.name}.kept-{number}")).exists():
        number += 1
    folder.rename(kept)
    return kept


def _ours(path: Path, raw: Path, listed: dict[str, str]) -> bool:
    if path.parent == raw and path.name in (RECORD, KEPT):
        return True
    return (
        path.is_file() and not path.is_symlink() and listed.get(path.relative_to(raw).as_posix()) == files.sha256(path)
    )


def verify(folder: Path) -> Path:
    """Return a folder of raw files. Raises UserError when a file is missing or not as its record lists it."""
    for name, expected in recorded(folder / RECORD).get("tree", {}).items():
        if problem := records.difference(folder / name, expected):
            raise records.damaged(folder / name, problem)
    return folder
