"""Which scans a killed run of whole-scan prediction has finished."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from covidseg.base.files import sha256


class Done:
    """The scans that an earlier run of the same ``identity`` (models, data) has finished: a file of JSON lines.

    ``rows`` is case -> the row of each whose files are still whole.
    """

    def __init__(self, path: Path, identity: str) -> None:
        """Read the file; begin a new one where there is none, or one of another identity."""
        self.path = path
        self.rows: dict[str, dict[str, Any]] = {}
        lines = path.read_text("utf-8").splitlines() if path.is_file() else []
        if lines[:1] != [identity]:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{identity}\n", "utf-8")
        for line in lines[1:] if lines[:1] == [identity] else []:
            try:
                row = json.loads(line)
                if all(sha256(path.parent / name) == value for name, value in row["files"].items()):
                    self.rows[row["case"]] = row
            except (ValueError, KeyError, TypeError, OSError):  # cut off by the kill, or the mask is gone
                continue

    def add(self, row: dict[str, Any]) -> None:
        """Note a finished scan."""
        with open(self.path, "a", encoding="utf-8") as f:
            f.write(json.dumps(row) + "\n")

    def stored(self) -> Iterator[dict[str, Any]]:
        """Yield the rows of the file, one in memory at a time; of a case that stands twice both."""
        with open(self.path, encoding="utf-8") as f:
            next(f)
            for line in f:
                if line.endswith("\n"):
                    yield json.loads(line)
