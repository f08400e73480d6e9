"""The table of a finished import."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from covidseg.base.errors import UserError
from covidseg.base.files import need, sha256
from covidseg.data.canonical import read_table


def imported(folder: Path, dataset: str) -> list[dict[str, Any]]:
    """Return the slices of a canonical store. Raises UserError when the table is not what the import wrote."""
    made = json.loads(need(folder / "import.json", f"import {dataset}").read_text("utf-8"))
    if made["sha256"]["slices.csv"] != sha256(folder / "slices.csv"):
        raise UserError(f"{folder / 'slices.csv'}: damaged; run covidseg import {dataset} again")
    return list(read_table(folder / "slices.csv"))
