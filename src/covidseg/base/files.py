"""Files that are never seen half-written: written beside their place, then renamed."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from covidseg.base.errors import UserError

FULL = {errno.ENOSPC, errno.EFBIG, errno.EDQUOT}
MAKING = ".making-"  # in the names of files and folders that are not whole yet
DAY = 86400.0
FICLONE = 0x40049409  # of linux/fs.h
_umask = os.umask(0o077)  # the one way to ask for it is to set it
os.umask(_umask)
_written: dict[Path, None] = {}  # by this process, in order


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path in the same folder; on success it replaces ``path``, on an error it is removed.

    Raises UserError when the disk is full, so that the message names the file and nothing partial stays.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fd, name = tempfile.mkstemp(prefix=f".{path.name}{MAKING}", suffix=path.suffix, dir=path.parent)
    except OSError as e:
        why = "no space left on the disk" if e.errno in FULL else e.strerror
        raise UserError(f"{path}: cannot be written ({why}); correct data: or results:, or the folder's rights") from e
    os.close(fd)
    os.chmod(name, permissions(0o666))
    temporary = Path(name)
    try:
        with clear_when_full(path):
            yield temporary
            with open(temporary, "rb") as f:
                os.fsync(f.fileno())
            put(temporary, path)
            _written[path] = None
    finally:
        temporary.unlink(missing_ok=True)


def put(temporary: Path, path: Path) -> None:
    """Rename a whole file or folder to its name. Raises UserError where a folder, for instance, has that name."""
    try:
        os.replace(temporary, path)
    except OSError as e:
        if e.errno in FULL:
            raise
        raise UserError(f"{path}: cannot be written ({e.strerror}); move what is there away and run again") from e


def permissions(mode: int) -> int:
    """Return the permissions of a new file or folder, as the user's umask has them."""
    return mode & ~_umask


def need_regular(path: Path) -> None:
    """Raise UserError for a path that is there and no regular file: reading a pipe or a device may never end."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        if not stat.S_ISREG(path.stat().st_mode):
            raise UserError(f"{path}: a folder, pipe or device where a file belongs; remove it")


def written(folder: Path) -> list[Path]:
    """Return the files in ``folder`` that this process has written and that are still there."""
    return [path for path in _written if path.parent == folder and path.is_file()]


@contextlib.contextmanager
def clear_when_full(path: Path) -> Iterator[None]:
    """Turn a full disk, quota or file size limit met in the block into a UserError that names ``path``."""
    try:
        yield
    except OSError as e:
        if e.errno in FULL:
            raise UserError(f"{path}: no space left on the disk; free some and run again, nothing was lost") from e
        raise


def write_text(path: Path, text: str) -> None:
    """Write ``text`` to ``path`` at once."""
    with replacing(path) as temporary:
        temporary.write_text(text, "utf-8")


def holds(path: Path, text: str) -> bool:
    """Return whether ``path`` is a regular file, not a link, with exactly this text."""
    try:
        content = text.encode("utf-8")
        return (
            stat.S_ISREG(path.lstat().st_mode) and path.stat().st_size == len(content) and path.read_bytes() == content
        )
    except OSError:
        return False


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` as sorted, indented JSON."""
    write_text(path, json.dumps(value, indent=2, sort_keys=True) + "\n")


def sweep(folder: Path, age: float = DAY) -> None:
    """Remove what killed processes left half-made below ``folder`` and nobody has touched for ``age`` seconds."""
    for here, folders, names in os.walk(folder):
        for path in (Path(here, name) for name in (*folders, *names) if name.startswith(".") and MAKING in name):
            with contextlib.suppress(OSError):  # gone, or not ours to remove
                if path.stat().st_mtime < time.time() - age:
                    shutil.rmtree(path) if path.is_dir() else path.unlink()


def copy(origin: Path, path: Path) -> None:
    """Copy a file to ``path`` at once."""
    with replacing(path) as temporary:
        shutil.copyfile(origin, temporary)


def regular(path: Path) -> None:
    """Raise ValueError when ``path`` is no regular file: to read a pipe or a device may never end."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise ValueError("not a regular file")
    except FileNotFoundError:
        raise
    except OSError as e:  # a loop of links, or a folder that may not be entered
        raise ValueError(f"cannot be read: {e.strerror}") from e


def clone(origin: Path, target: Path) -> None:
    """Copy a file to ``target``, which must not exist; the two share their blocks where the file system can.

    Raises ValueError when ``origin`` is no regular file, also behind links: a pipe would be waited for without end.
    """
    with open(os.open(origin, os.O_RDONLY | os.O_NONBLOCK), "rb") as source:
        if not stat.S_ISREG(os.fstat(source.fileno()).st_mode):
            raise ValueError("not a regular file")
        with open(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o666), "wb") as f:
            try:
                fcntl.ioctl(f, FICLONE, source.fileno())
            except OSError:  # another file system, or one that cannot share
                shutil.copyfileobj(source, f, 1 << 20)


def sha256(path: Path) -> str:
    """Return the sha256 of a file as hex digits."""
    with open(path, "rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def need(path: Path, step: str) -> Path:
    """Return ``path``; raise UserError naming the verb that makes it when it is not there."""
    if not path.is_file():
        raise UserError(f"{path}: missing; run covidseg {step} first (or snakemake, which runs all steps)")
    return path
