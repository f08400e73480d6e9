"""The slices of ``png_slices`` cut in two at the midline of the lungs: half slices without lesion are true negatives.

All released slices show a lesion; in about a quarter of their halves there is none.
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
    """Yield two cases per volume, ``NAME.right`` and ``NAME.left``, each half as wide as a slice."""
    for case in png_slices.cases(raw, dataset):
        assert case.lung is not None
        assert case.label is not None
        middle = midline(case.lung)
        for side, name in enumerate(SIDES):
            image, label, lung = (half(volume, middle, side) for volume in (case.image, case.label, case.lung))
            yield replace(case, name=f"{case.name}.{name}", image=image, label=label, lung=lung)


def midline(lung: U8) -> int:
    """Return the column between the lungs of a volume: of the middle third, the middle one of those with least lung."""
    width = lung.shape[2]
    columns = lung[:, :, width // 3 : -(width // 3)].sum(axis=(0, 1), dtype=np.int64)
    least = np.flatnonzero(columns == columns.min())
    return width // 3 + int(least[len(least) // 2])


def half(volume: U8, middle: int, side: int) -> U8:
    """Return the half of a volume (S, H, W) on one side of a column, W // 2 wide: what lies beyond the slice is 0."""
    width = volume.shape[2] // 2
    first = middle - width if side == 0 else middle
    columns = np.arange(first, first + width)
    inside = (columns >= 0) & (columns < volume.shape[2])
    out = np.zeros((*volume.shape[:2], width), np.uint8)
    out[:, :, inside] = volume[:, :, columns[inside]]
    return out
