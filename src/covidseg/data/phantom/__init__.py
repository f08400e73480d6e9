"""Phantoms: for every real data set a generated one with the same files, formats, labels and peculiarities.

They are read by the same importers. Each is seeded; nothing in them comes from a patient.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from pathlib import Path

from covidseg.base import files
from covidseg.base.errors import UserError
from covidseg.base.files import clear_when_full
from covidseg.data.raw import RECORD, make_way, recorded, tree
from covidseg.data.raw import write as record
from covidseg.schema import Dataset


def write(name: str, dataset: Dataset, raw: Path) -> None:
    """Write the phantom of data set ``name`` below ``raw``, with ``raw/fetched.json``, which says phantom.

    The layout is that of the data set's importer. Raises UserError when the data set has no phantom.
    """
    from covidseg.data.phantom import layouts, series

    made_by = {**layouts.LAYOUTS, "series": series.series_files}
    if dataset.phantom is None or dataset.importer not in made_by:
        raise UserError(f"{name}: has no phantom; set mode: paper, or name another data set")
    raw.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{raw.name}{files.MAKING}", dir=raw.parent))
    try:
        with clear_when_full(raw):
            made_by[dataset.importer](dataset.phantom, temporary)
            made = sorted(path for path in temporary.rglob("*") if path.is_file())
            digest = hashlib.sha256("".join(f"{files.sha256(path)}  {path.name}\n" for path in made).encode())
            record(
                temporary,
                {
                    "dataset": name,
                    "phantom": dataset.phantom.model_dump(),
                    "files": len(made),
                    "sha256": digest.hexdigest(),
                    "tree": tree(temporary),
                },
            )
            temporary.chmod(files.permissions(0o777))
            make_way(raw, raw, recorded(raw / RECORD).get("tree", {}))
            temporary.rename(raw)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
