"""The table of a finished import."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from covidseg.base.files import need
from covidseg.data.canonical import read_table


def imported(folder: Path, dataset: str) -> list[dict[str, Any]]:
    """Return the slices of a canonical store. Raises UserError when the table is not what the import wrote."""
    need(folder / "import.json", f"import {dataset}")
    return list(read_table(folder / "slices.csv"))
