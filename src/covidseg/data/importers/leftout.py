"""Every file of a user's folder is used, or named as left out with the reason."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from covidseg.base.errors import some
from covidseg.base.images import IMAGES, VOLUMES

NO_SCAN = "not a scan or mask that is read (NIfTI, PNG, DICOM)"
ELSEWHERE = "not in a folder that is read"


def below(folder: Path) -> list[Path]:
    """Return the files below a folder, sorted by path, also those of linked folders; a folder is entered once only."""
    entered: set[tuple[int, int]] = set()
    found: list[Path] = []
    for here, folders, names in os.walk(folder, followlinks=True):
        stat = os.stat(here)
        if (stat.st_dev, stat.st_ino) in entered:
            folders.clear()
            continue
        entered.add((stat.st_dev, stat.st_ino))
        found += (Path(here, name) for name in names)
    return sorted(found)


def skipped(path: Path) -> str | None:
    """Return why a file is left out by its name alone; None where its name does not decide."""
    if path.name.startswith("."):
        return "hidden, its name begins with a dot"
    if path.name.startswith("_"):
        return "its name begins with an underscore"
    if path.name.lower().endswith((".hdr", ".img", ".hdr.gz", ".img.gz")):
        return "half of a pair of .hdr and .img; convert the pair to .nii.gz"
    return None


def is_read(path: Path, suffixes: tuple[str, ...]) -> bool:
    """Return whether a file has one of the suffixes, in letters of any case, and is not skipped by its name."""
    return path.name.lower().endswith(suffixes) and skipped(path) is None


def left_out(root: Path, used: Iterable[Path], why: Mapping[Path, str]) -> dict[str, list[str]]:
    """Return reason -> files below ``root``, by their path in it, that are not ``used``; ``why``: known reasons."""
    taken = set(used)
    found: dict[str, list[str]] = {}
    for path in below(root):
        if path not in taken:
            reason = why.get(path) or skipped(path) or (ELSEWHERE if is_read(path, IMAGES + VOLUMES) else NO_SCAN)
            found.setdefault(reason, []).append(path.relative_to(root).as_posix())
    return dict(sorted(found.items()))


def in_words(found: Mapping[str, list[str]]) -> Iterator[str]:
    """Yield a line per reason that names the first files."""
    for reason, files in found.items():
        yield f"left out, {reason}: {some(files)}"
