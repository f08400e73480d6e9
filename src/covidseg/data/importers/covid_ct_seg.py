"""COVID-19-CT-Seg: 20 CT volumes in one zip, their masks in another (1 left lung, 2 right lung, 3 infection)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from covidseg.base.errors import UserError
from covidseg.data.canonical import Case
from covidseg.data.importers.patients import patient, volume
from covidseg.data.importers.read import listing, nifti, nifti_mask, relabel
from covidseg.schema import Dataset

IMAGES, MASKS = "COVID-19-CT-Seg_20cases", "Lung_and_Infection_Mask"
SUFFIXES = (".nii.gz", ".nii")


def cases(raw: Path, dataset: Dataset) -> Iterator[Case]:
    """Yield the volumes in order of name; infection counts as lung, because the mask draws it over the lung."""
    masks = {volume(path.name): path for path in listing(raw / MASKS, SUFFIXES)}
    images = {volume(path.name): path for path in listing(raw / IMAGES, SUFFIXES)}
    for name, path in sorted(images.items()):
        if name not in masks:
            raise UserError(f"{raw / MASKS}: no mask for {path.name}; fetch the data set again")
        image = nifti(path)
        mask = nifti_mask(masks[name], image, published=True)
        label = relabel(mask, {0: 0, 1: 0, 2: 0, 3: dataset.classes["infection"]}, masks[name])
        yield Case(
            name=name,
            patient=patient(name),
            role="labelled",
            image=image.array,
            label=label,
            lung=(mask > 0).astype(np.uint8),
            spacing=image.spacing,
            affine=image.affine,
            axcodes=image.axcodes,
            notes=image.notes,
        )
