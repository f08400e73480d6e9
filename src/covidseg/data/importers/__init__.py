"""One importer per source format: ``cases(raw, dataset)`` yields a data set's cases, one in memory at a time."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path

from covidseg.base.errors import UserError, nearest
from covidseg.data.canonical import Case
from covidseg.schema import Dataset

IMPORTERS = [
    "covid_ct_seg", "covid_semiseg", "covid_semiseg_maps", "folder", "joined", "medseg_slices", "medseg_volumes",
    "png_halves", "png_slices", "series",
]  # fmt: skip


def cases(raw: Path, dataset: Dataset) -> Iterator[Case]:
    """Yield the cases under ``raw`` through the importer the data set names. Raises UserError when there is none."""
    if dataset.importer not in IMPORTERS:
        raise UserError(f"importer: unknown name {dataset.importer!r}; {nearest(dataset.importer, IMPORTERS)}")
    module = importlib.import_module(f"{__name__}.{dataset.importer}")
    yield from module.cases(raw, dataset)
