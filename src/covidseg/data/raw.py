"""The record of a data set's raw files, ``raw/fetched.json``: what came from where, and every file as it lies there."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from covidseg.base import files

RECORD = "fetched.json"


def recorded(path: Path) -> dict[str, Any]:
    """Return an earlier record; nothing when there is no whole one."""
    try:
        found = json.loads(path.read_text("utf-8"))
        return found if isinstance(found.get("files"), dict | int) else {}
    except (OSError, ValueError, AttributeError):
        return {}


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


def make_way(folder: Path, raw: Path, listed: set[str]) -> Path | None:
    """Remove a folder in which all files are ``listed``, as paths below ``raw``, by an earlier record.

    One that holds others is set aside under a new name, which is returned: they may be somebody's work.
    """
    if folder.is_symlink() or not folder.exists():
        return None
    inside = [path for path in folder.rglob("*") if not path.is_dir() or path.is_symlink()]
    if all(path.relative_to(raw).as_posix() in listed for path in inside):
        shutil.rmtree(folder)
        return None
    number = 1
    while (kept := folder.with_name(f"{folder.name}.kept-{number}")).exists():
        number += 1
    folder.rename(kept)
    return kept
