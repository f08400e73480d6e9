"""The volumes of a run's scans, as the step that made their masks wrote them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from covidseg.base import csvfile, records

TEXT = ("case", "role", "empty_because")


def read(folder: Path) -> list[dict[str, Any]]:
    """Return the lines of ``folder/volumes.csv``, one per scan; a volume is NaN where it is not known.

    Raises UserError when the file is missing or not what was written.
    """
    path = folder / "volumes.csv"
    with records.parsing(path):
        kinds = {"slices": int, "models": int} | dict.fromkeys(TEXT, str)
        return list(csvfile.read(records.verified(path, "masks.json"), lambda column: kinds.get(column, float)))
