"""Records: what a step wrote, with hashes, and the one way to open it again.

Every step writes its record last, so a record means that the step is done. The record is JSON: facts, the sha256 of
each file that the step made, and a hash of the record itself. Whatever reads such a file later opens it through
``verified`` or ``read``, so that a file that was damaged or edited is refused in one line and never used.

Hashing is not repeated: a file of the same inode, size, time of writing and time of change has the same content. The
time of change (ctime) cannot be set back, so that an edit that keeps the time of writing is noticed. Hashes of large
files are kept between processes in ``CACHE``, those of small files only within a process.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from covidseg.base import files
from covidseg.base.errors import UserError

OWN = "record_sha256"  # the key of the record's own hash
LIST = "sha256"  # the key that holds file -> sha256 of what the step made
REPAIR = "run covidseg repair"  # the remedy of whatever is missing, damaged or out of date
CACHE = Path(".snakemake/covidseg/verified")
LARGE = 8 << 20  # bytes from which on a hash is kept between processes: smaller files are hashed in milliseconds
SETTLED = 2_000_000_000  # ns; of a file younger than this a second edit may have the same times
_known: dict[tuple[int, ...], str] = {}


def write(path: Path, made: Iterable[Path] = (), **facts: Any) -> None:
    """Write a step's record: ``facts``, and the sha256 of each file it ``made``, in the record's folder or below it.

    Files whose hashes are known already may stand in the fact ``sha256``. Equal data give equal bytes.
    """
    hashes = facts.pop(LIST, {}) | {file.relative_to(path.parent).as_posix(): files.sha256(file) for file in made}
    value = json.loads(json.dumps({**facts, LIST: hashes}))
    files.write_json(path, value | {OWN: _own(value)})


def read(path: Path) -> dict[str, Any]:
    """Return a record. Raises UserError when it is missing, no record, or not what was written."""
    files.need_regular(path)
    try:
        value = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: missing; {REPAIR}") from None
    except (ValueError, OSError, RecursionError) as e:
        raise damaged(path, e) from e
    if not isinstance(value, dict) or OWN not in value:
        raise damaged(path, "no record")
    if value[OWN] != _own(value) or not isinstance(value.get(LIST), dict):
        raise damaged(path, "not what was written")
    return value


def verified(file: Path, record: Path | str) -> Path:
    """Return ``file`` after comparing it with the hash in its ``record``, a path or a name in the file's folder.

    Raises UserError when the record or the file is missing, and when the file is not what was written.
    """
    record = file.parent / record if isinstance(record, str) else record
    expected = read(record)[LIST].get(file.relative_to(record.parent).as_posix())
    if expected is None:
        raise damaged(file, f"{record.name} does not list it")
    if problem := difference(file, expected):
        raise damaged(file, problem)
    return file


def difference(file: Path, expected: str) -> str | None:
    """Return how a file differs from its hash, in words; None when it does not."""
    try:
        return None if sha256(file) == expected else "not what was written"
    except FileNotFoundError:
        return "missing"
    except OSError as e:
        return f"cannot be read, {e.strerror}"


def costly(file: Path) -> bool:
    """Return whether a file is large and its hash not known yet, so that comparing it means reading all of it."""
    with contextlib.suppress(OSError):
        key = _key(file.stat())
        return file.stat().st_size >= LARGE and key not in _known and _kept(file, key) is None
    return False


def sha256(file: Path) -> str:
    """Return a file's sha256, from the cache where the file has not changed since. Raises OSError."""
    files.need_regular(file)
    with open(file, "rb") as f:
        found = os.fstat(f.fileno())
        key = _key(found)
        if (value := _known.get(key)) is None:
            settled = time.time_ns() - max(found.st_mtime_ns, found.st_ctime_ns) > SETTLED
            keep = settled and found.st_size >= LARGE
            value = (_kept(file, key) if keep else None) or hashlib.file_digest(f, "sha256").hexdigest()
            if settled:
                _known[key] = value
            if keep:
                _keep(file, key, value)
    return value


@contextlib.contextmanager
def parsing(path: Path) -> Iterator[None]:
    """Turn whatever a parser raises for a damaged file into one UserError that names it."""
    try:
        yield
    except (UserError, MemoryError):
        raise
    except FileNotFoundError as e:
        raise UserError(f"{path}: missing; {REPAIR}") from e
    except Exception as e:  # parsers of CSV, HDF5 and safetensors raise almost anything
        raise damaged(path, e) from e


def damaged(path: Path, why: object) -> UserError:
    """Return the error of a file that is not what a step wrote."""
    said = f"{type(why).__name__}: {why}" if isinstance(why, Exception) else why
    if why == "missing":
        return UserError(f"{path}: missing; {REPAIR}")
    return UserError(f"{path}: damaged ({said}); {REPAIR}")


def _key(found: os.stat_result) -> tuple[int, ...]:
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _own(value: Mapping[str, Any]) -> str:
    """Return the hash of a record without that hash."""
    rest = {key: part for key, part in value.items() if key != OWN}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


def _place(file: Path) -> Path:
    return CACHE / f"{hashlib.sha256(os.fsencode(file.absolute())).hexdigest()[:32]}.json"


def _kept(file: Path, key: tuple[int, ...]) -> str | None:
    try:
        known = json.loads(_place(file).read_text("utf-8"))
        return str(known["sha256"]) if known["key"] == list(key) else None
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def _keep(file: Path, key: tuple[int, ...], value: str) -> None:
    """Keep a hash for other processes, in a project where that can be written; elsewhere it is computed again."""
    if CACHE.parents[1].is_dir():
        with contextlib.suppress(OSError, UserError):
            files.write_json(_place(file), {"key": key, "sha256": value})
