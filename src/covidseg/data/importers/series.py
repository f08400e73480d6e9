"""Follow-up series: several scans of a patient, ``scans/NAME_dayNNN.nii.gz``, NAME the patient and NNN the day.

Where ``masks`` holds a file of the same name, that is the scan's truth.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from covidseg.base.errors import UserError
from covidseg.data.canonical import Case
from covidseg.data.importers import leftout
from covidseg.data.importers.read import listing, nifti, nifti_mask, relabel
from covidseg.data.raw import RECORD
from covidseg.schema import Dataset

SCANS, MASKS = "scans", "masks"
SUFFIXES = (".nii.gz", ".nii")
_NAME = re.compile(r"(?P<patient>.+)_day(?P<day>\d+)\.nii(?:\.gz)?")


def cases(raw: Path, dataset: Dataset) -> Iterator[Case]:
    """Yield the scans patient by patient, day by day.

    Raises UserError for a file without a day, a day that a patient has twice, a patient's name in two folders, which
    would be two patients of one name, and a mask without a scan.
    """
    scans = _by_day(raw / SCANS)
    masks = _by_day(raw / MASKS) if (raw / MASKS).is_dir() else {}
    for key in masks:
        if key not in scans:
            raise UserError(f"{masks[key]}: a mask without a scan; add the scan, or remove the mask")
    for (patient, day), path in sorted(scans.items()):
        image = nifti(path, by_slabs=True)
        label = None
        if mask := masks.get((patient, day)):
            label = relabel(nifti_mask(mask, image), {0: 0, **{v: v for v in dataset.classes.values()}}, mask)
        yield Case(
            name=f"{patient}_day{day:03d}",
            patient=patient,
            role="unlabelled" if label is None else "labelled",
            image=image.array,
            label=label,
            spacing=image.spacing,
            affine=image.affine,
            axcodes=image.axcodes,
            day=day,
            notes=image.notes,
        )


def left_out(raw: Path, dataset: Dataset) -> dict[str, list[str]]:
    """Return reason -> files of the folder that ``cases`` does not use; the record of what was fetched is no such."""
    used = [*_by_day(raw / SCANS).values(), *(_by_day(raw / MASKS).values() if (raw / MASKS).is_dir() else [])]
    return leftout.left_out(raw, [*used, raw / RECORD], {})


def _by_day(folder: Path) -> dict[tuple[str, int], Path]:
    """Return (patient, day) -> file."""
    found: dict[tuple[str, int], Path] = {}
    folders: dict[str, Path] = {}
    for path in listing(folder, SUFFIXES):
        named = _NAME.fullmatch(path.name)
        if named is None:
            raise UserError(f"{path}: no day in the name; expected NAME_dayNNN.nii.gz, NAME the patient")
        patient, day = named["patient"], int(named["day"])
        if other := found.get((patient, day)):
            raise UserError(f"{path}: day {day} of {patient} is there twice, also as {other.name}; keep one")
        if folders.setdefault(patient, path.parent) != path.parent:
            raise UserError(
                f"{path}: {patient} is also in {folders[patient]}; if these are two patients, rename one, else bring "
                "the files together"
            )
        found[patient, day] = path
    return found
