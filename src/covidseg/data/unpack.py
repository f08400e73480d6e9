"""Unpacking zip files from elsewhere: nothing outside the target, no links, no bombs, nothing half-done."""

from __future__ import annotations

import shutil
import stat
import struct
import tempfile
import zipfile
from pathlib import Path, PurePosixPath

from covidseg.base import files
from covidseg.base.errors import UserError
from covidseg.base.files import clear_when_full

MAX_FILES = 100_000
MAX_BYTES = 64 << 30
MAX_RATIO = 200  # scans compress by 2 to 20, nested zeros by 1000
SMALL = 64 << 20  # below this size a high ratio does no harm: empty masks compress well
LOCAL = struct.Struct("<26x2H")  # an entry's header, which ends in the lengths of its name and of its extra field
DESCRIPTOR = 24  # bytes that may follow an entry's data: its sizes and checksum once more


def unpack(path: Path, target: Path) -> None:
    """Unpack a zip into ``target``, which appears when everything is there.

    Raises UserError for a broken zip, an entry outside the target, a link, and sizes like a bomb's; nothing is left.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{target.name}{files.MAKING}", dir=target.parent))
    try:
        with clear_when_full(target), zipfile.ZipFile(path) as archive:
            check(archive, path)
            archive.extractall(temporary)
        temporary.chmod(files.permissions(0o777))
        if target.exists():
            shutil.rmtree(target)
        temporary.rename(target)
    except UserError:
        raise
    except Exception as e:  # zipfile and its decompressors have a dozen ways to stumble over a broken file
        raise UserError(f"{path}: not a whole zip file ({type(e).__name__}: {e}); delete it and fetch again") from e
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def check(archive: zipfile.ZipFile, path: Path) -> None:
    """Raise UserError when unpacking the archive would do harm, or would leave out what lies in it."""
    entries = archive.infolist()
    if hole := _hole(archive, path):
        raise UserError(f"{path}: not a whole zip file ({hole}); delete it and fetch again")
    for entry in entries:
        name = entry.orig_filename.replace("\\", "/")
        parts = PurePosixPath(name).parts
        if name.startswith("/") or ".." in parts or (parts and ":" in parts[0]):
            raise UserError(f"{path}: entry {entry.orig_filename!r} would land outside its folder; do not use it")
        if "\0" in name or (name.endswith("/") and entry.file_size):
            raise UserError(f"{path}: not a whole zip file (entry {entry.orig_filename!r}); delete it and fetch again")
        if stat.S_ISLNK(entry.external_attr >> 16):
            raise UserError(f"{path}: entry {entry.orig_filename!r} is a link; do not use this file")
    unpacked = sum(e.file_size for e in entries)
    packed = min(sum(e.compress_size for e in entries), path.stat().st_size)  # entries may share their bytes
    if len(entries) > MAX_FILES or unpacked > MAX_BYTES or (unpacked > SMALL and unpacked > MAX_RATIO * packed):
        raise UserError(f"{path}: {len(entries)} entries of {unpacked} bytes from {packed}: a zip bomb; do not use it")


def _hole(archive: zipfile.ZipFile, path: Path) -> str | None:
    """Say where bytes lie between the entries of an archive that belong to none; None where they follow one another.

    Where the directory at the archive's end is damaged, zipfile reads fewer entries than there are, without a word.
    """
    end = 0
    with open(path, "rb") as f:
        for entry in sorted(archive.infolist(), key=lambda entry: entry.header_offset):
            if not 0 <= entry.header_offset - end <= DESCRIPTOR:
                return f"{entry.header_offset - end} bytes before {entry.orig_filename!r} belong to no entry"
            f.seek(entry.header_offset)
            head = f.read(LOCAL.size)
            if len(head) < LOCAL.size:
                return "it is cut off"
            end = entry.header_offset + LOCAL.size + sum(LOCAL.unpack(head)) + entry.compress_size
    left = archive.start_dir - end
    return None if 0 <= left <= DESCRIPTOR else f"{left} bytes after its last entry belong to none"
