"""The nine volumes of medicalsegmentation.com: rp_im/N.nii.gz with masks of the same names in rp_msk/.

Where rp_lung_msk/ was fetched too, its lung masks are read.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from covidseg.base.errors import UserError
from covidseg.data.canonical import Case
from covidseg.data.importers.read import by_natural_order, listing, nifti, nifti_mask, stem
from covidseg.schema import Dataset

IMAGES, MASKS, LUNGS = "rp_im", "rp_msk", "rp_lung_msk"
SUFFIXES = (".nii.gz", ".nii")


def cases(raw: Path, dataset: Dataset) -> Iterator[Case]:
    """Yield the volumes as cases ``volume_1`` to ``volume_9``."""
    masks = {stem(path): path for path in listing(raw / MASKS, SUFFIXES)}
    lungs = {stem(path): path for path in listing(raw / LUNGS, SUFFIXES)} if (raw / LUNGS).is_dir() else {}
    for path in by_natural_order(listing(raw / IMAGES, SUFFIXES)):
        if stem(path) not in masks:
            raise UserError(f"{raw / MASKS}: no mask for {path.name}; fetch the data set again")
        image = nifti(path)
        label = nifti_mask(masks[stem(path)], image, published=True)
        name = f"volume_{stem(path)}"
        lung = nifti_mask(lungs[stem(path)], image, published=True) if stem(path) in lungs else None
        yield Case(
            name=name,
            patient=name,
            role="labelled",
            image=image.array,
            label=label,
            lung=None if lung is None else (lung > 0).astype(np.uint8),
            spacing=image.spacing,
            affine=image.affine,
            axcodes=image.axcodes,
            notes=image.notes,
        )
