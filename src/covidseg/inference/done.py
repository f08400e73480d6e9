"""Which scans a killed run of whole-scan prediction has finished."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from covidseg.base.files import need_regular, sha256

DIGITS = 16  # of the sha256 that stands before each row


class Done:
    """The scans that an earlier run of the same ``identity`` (models, data) has finished: a file with a line for each.

    A line is a hash and the row as JSON; one that does not fit its hash, as a kill or a bad disk leaves it, does not
    count. ``rows`` is case -> the row of each whose files are still whole.
    """

    def __init__(self, path: Path, identity: str) -> None:
        """Read the file; begin a new one where there is none, or one of another identity."""
        self.path = path
        self.rows: dict[str, dict[str, Any]] = {}
        need_regular(path)
        content = path.read_bytes() if path.is_file() else b""
        if content.partition(b"\n")[0] != identity.encode():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{identity}\n", "utf-8")
        elif not content.endswith(b"\n"):  # else the next line would be lost with the one that was cut off
            with open(path, "ab") as f:
                f.write(b"\n")
        for row in self.stored():
            try:
                if all(sha256(path.parent / name) == value for name, value in row["files"].items()):
                    self.rows[row["case"]] = row
            except OSError:  # the mask is gone
                continue

    def add(self, row: dict[str, Any]) -> None:
        """Note a finished scan."""
        text = json.dumps(row)
        with open(self.path, "a", encoding="utf-8") as f:
            f.write(f"{_hash(text)} {text}\n")

    def stored(self) -> Iterator[dict[str, Any]]:
        """Yield the rows of the file, one in memory at a time; of a case that stands twice both."""
        with open(self.path, encoding="utf-8", errors="replace", newline="\n") as f:
            next(f)
            for line in f:
                value, _, text = line.removesuffix("\n").partition(" ")
                if value == _hash(text):
                    yield json.loads(text)


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:DIGITS]
