"""Small real files for the tests of data."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from covidseg.schema import Dataset, load

REPO = Path(__file__).parents[3]
WORKFLOW = REPO / "workflow"


def dataset(name: str) -> Dataset:
    """Read a committed data set."""
    return load(Dataset, WORKFLOW / "datasets" / f"{name}.yaml")


def twin(name: str) -> Dataset:
    """Read a committed data set as its phantom has it: cropped to the phantom's size."""
    data = dataset(name)
    size = data.phantom and data.phantom.size
    return data.model_copy(update={"crop": data.crop and data.crop.model_copy(update={"size": size})})


def own(**keys: object) -> Dataset:
    """Return a data set of a user's own."""
    head = {"title": "own", "about": "", "licence": "", "importer": "folder", "classes": {"lesion": 1}}
    return Dataset.model_validate(head | keys)


def write_nifti(path: Path, array: np.ndarray, affine: np.ndarray | None = None) -> Path:
    """Write an array as it is."""
    import nibabel as nib

    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.nifti1.Nifti1Image(array, np.diag([-1, -1, 1, 1]) if affine is None else affine), path)
    return path
