"""The slices of ``png_slices`` cut in two at the midline of the lungs: half slices without lesion are true negatives.

All released slices show a lesion; in about a fifth of their halves there is none. Those are mostly left halves of a few
patients, so the left half is mirrored: else a classifier could tell the side in place of the lesion.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from covidseg.data.canonical import U8, Case
from covidseg.data.importers import png_slices
from covidseg.schema import Dataset

SIDES = ("right", "left")  # of the patient, in the order of the store's columns


def cases(raw: Path, dataset: Dataset) -> Iterator[Case]:
    """Yield two cases per volume, ``NAME.right`` and ``NAME.left``, each from the body's wall to the midline."""
    for case in png_slices.cases(raw, dataset):
        assert case.lung is not None
        assert case.label is not None
        middle = midline(case.lung)
        pairs = zip(*(halves(volume, middle) for volume in (case.image, case.label, case.lung)), strict=True)
        for name, (image, label, lung) in zip(SIDES, pairs, strict=True):
            yield replace(case, name=f"{case.name}.{name}", image=image, label=label, lung=lung)


def midline(lung: U8) -> int:
    """Return the column between the lungs of a volume: of the middle third, the middle one of those with least lung."""
    width = lung.shape[2]
    columns = lung[:, :, width // 3 : -(width // 3)].sum(axis=(0, 1), dtype=np.int64)
    least = np.flatnonzero(columns == columns.min())
    return width // 3 + int(least[len(least) // 2])


def halves(volume: U8, middle: int) -> tuple[U8, U8]:
    """Return both halves of a volume (S, H, W), ``middle`` and W - ``middle`` wide, with the midline at its right."""
    return volume[:, :, :middle], np.ascontiguousarray(volume[:, :, middle:][:, :, ::-1])
