"""The 100 slices of medicalsegmentation.com: one NIfTI, every slice of another patient, and ten unlabelled slices."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from covidseg.data.canonical import Case, is_hu
from covidseg.data.importers.read import nifti, nifti_mask
from covidseg.schema import Dataset


def cases(raw: Path, dataset: Dataset) -> Iterator[Case]:
    """Yield every slice as a case of its own, named by its place in the file from 0; then the unlabelled ones.

    Inf-Net's ids of the same slices count from 0 too, so the names fit its split. The affine of the stack means nothing
    for one slice and is left out; its spacing between slices is unknown.
    """
    stack = nifti(raw / "tr_im.nii.gz")
    labels = nifti_mask(raw / "tr_mask.nii.gz", stack, published=True)
    hu = is_hu(stack.array)
    spacing = (float("nan"), *stack.spacing[1:])
    for k in range(len(stack.array)):
        yield Case(str(k), str(k), "labelled", stack.array[k : k + 1], labels[k : k + 1], spacing=spacing, hu=hu)
    if (raw / "val_im.nii.gz").exists():
        stack = nifti(raw / "val_im.nii.gz")
        hu = is_hu(stack.array)
        spacing = (float("nan"), *stack.spacing[1:])
        for k in range(len(stack.array)):
            name = f"val_{k}"
            yield Case(name, name, "unlabelled", stack.array[k : k + 1], spacing=spacing, hu=hu)
