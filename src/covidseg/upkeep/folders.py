"""The folders that Snakemake writes to besides our own; where it cannot, it ends in a traceback of its own."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from covidseg.base.errors import UserError

LEAST = 10 << 20  # bytes that have to be free


def problems() -> Iterator[str]:
    """Yield what is wrong with ``.snakemake``, TMPDIR and the cache below HOME, each with what to do."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path(os.environ.get("HOME", "/"), ".cache"))
    yield from _problem(Path(".snakemake"), "free some space, or correct its rights")
    yield from _problem(Path(tempfile.gettempdir()) if _temporary() else None, "set TMPDIR to a folder on a local disk")
    yield from _problem(cache, "set XDG_CACHE_HOME to a folder that can be written")


def check() -> None:
    """Raise UserError where Snakemake could not work."""
    for problem in problems():
        raise UserError(problem)


def _temporary() -> bool:
    with contextlib.suppress(OSError):
        return bool(tempfile.gettempdir())
    return False


def _problem(folder: Path | None, remedy: str) -> Iterator[str]:
    if folder is None:
        yield f"no folder for temporary files can be written; {remedy}"
        return
    there = folder.absolute()
    while not there.exists() and there != there.parent:  # the first that is there is where the rest is made
        there = there.parent
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        yield f"{folder}: cannot be written, and Snakemake has to; {remedy}"
    elif shutil.disk_usage(there).free < LEAST:
        yield f"{folder}: the disk is full, and Snakemake has to write there; {remedy}"
