"""A picture of the scans that a run's models were applied to: slices with what was found outlined."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from covidseg.base import nifti, records
from covidseg.base.errors import UserError
from covidseg.base.pictures import read_picture
from covidseg.data.canonical import U8, Store
from covidseg.data.orientation import to_store
from covidseg.evaluate import volumes
from covidseg.inference.montage import Montage
from covidseg.inference.outputs import picture_names
from covidseg.plan import Plan
from covidseg.tables.page import slug

SHOWN = 12  # scans


def montage(plan: Plan, masks: str, out: Path) -> tuple[list[str], int]:
    """Write the picture of the first scans of the masks of this name below ``out``; return its file and their number.

    Masks are read as they lie: one that was corrected is shown corrected.
    """
    folder, dataset = plan.paths.masks(masks), plan.targets.masks_of(masks)[1]
    labels: dict[str, int] = records.read(folder / "masks.json")["labels"]
    cases = [str(row["case"]) for row in volumes.read(folder)][:SHOWN]
    if not cases:
        return [], 0
    place = out / "masks" / slug(masks)
    place.mkdir(parents=True)
    note = f"{masks}: predicted{', phantom CT, not patients' if plan.config.mode == 'demo' else ''}"
    page = Montage(place, list(labels), note)
    numbers = np.zeros(256, np.uint8)
    for k, value in enumerate(labels.values(), 1):
        numbers[value] = k
    with Store(plan.paths.canonical(dataset)) as store:
        for case in cases:
            image = store.image(case)
            found = _mask(folder, case, len(image), store.attrs(case))
            if found.shape != image.shape:
                raise UserError(f"{folder}: the mask of {case} has another shape than its scan; {records.REPAIR}")
            page.add(case, image, numbers[found], f"{len(image)} slices")
    page.flush()
    return [f"masks/{slug(masks)}/{file.name}" for file in sorted(place.iterdir())], len(cases)


def _mask(folder: Path, case: str, slices: int, attrs: dict[str, object]) -> U8:
    """Return the mask of a scan in the store's orientation, with the values of its file."""
    if "affine" not in attrs:
        paths = [folder / name for name in picture_names(case, slices)]
        with records.parsing(paths[0]):
            return np.stack([read_picture(path, indices=True) for path in paths]).astype(np.uint8)
    with records.parsing(path := folder / f"{case}.nii.gz"):
        return np.ascontiguousarray(to_store(nifti.load(path)[1], str(attrs["axcodes"]))).astype(np.uint8)
