"""Records beside files that a test has written or changed by hand, as the steps write them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from covidseg.base import records

KINDS = {
    "tensors.json": ("image.npy", "lung.npy", "label.npy", "slices.csv"),
    "import.json": ("slices.h5", "slices.csv"),
    "lungs.json": ("lungs.h5",),
}


def seal(folder: Path, record: str = "tensors.json", **facts: Any) -> Path:
    """Write the record of what lies in a folder of tensors, or of a canonical store; return the folder."""
    records.write(folder / record, [folder / name for name in KINDS[record] if (folder / name).exists()], **facts)
    return folder


def write_record(path: Path, value: dict[str, Any]) -> None:
    """Write a record of these facts with its own hash; ``sha256`` is file -> hash of what the step made."""
    rest = {key: part for key, part in {"sha256": {}, **value}.items() if key != records.OWN}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(rest | {records.OWN: records._own(json.loads(json.dumps(rest)))}))
