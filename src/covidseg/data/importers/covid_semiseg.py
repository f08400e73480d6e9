"""COVID-SemiSeg as Inf-Net released it: 98 labelled slices and 1600 unlabelled ones, every image its own size.

The released images lie on their side: rows run from the patient's right to left. Columns run from front to back, except
in the unlabelled coronacases, where they run from back to front (seen on spine, liver and aorta of every volume).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy.typing as npt

from covidseg.data.canonical import Case
from covidseg.data.importers.patients import patient
from covidseg.data.importers.read import by_natural_order, grey, listing, relabel, same_shape, stem
from covidseg.data.orientation import to_store
from covidseg.schema import Dataset

LABELLED = {  # role -> folders of images and of multi-class masks
    "train": (
        "TrainingSet/LungInfection-Train/Doctor-label/Imgs",
        "TrainingSet/MultiClassInfection-Train/GT",
    ),
    "test": ("TestingSet/LungInfection-Test/Imgs", "TestingSet/MultiClassInfection-Test/GT"),
}
UNLABELLED = "TrainingSet/LungInfection-Train/Pseudo-label/Imgs"
# GGO and consolidation, as palette index or as the grey value OpenCV makes of the palette's dark red and green
GREY = {0: 0, 1: 1, 2: 2, 38: 1, 75: 2}


def axcodes(name: str) -> str:
    """Return the direction in which rows and columns of a released image grow."""
    return "LA" if "coronacases" in name else "LP"


def cases(raw: Path, dataset: Dataset) -> Iterator[Case]:
    """Yield the labelled slices by id (their patients are unknown, each counts as one), then the unlabelled by name."""
    for role, (images, masks) in LABELLED.items():
        for path in by_natural_order(listing(raw / images, (".jpg", ".png"))):
            name = stem(path)
            image = grey(path)
            truth = raw / masks / f"{name}.png"
            mask = grey(truth, palette=True)
            same_shape(image, mask, truth)
            label = relabel(mask, GREY, truth)
            yield Case(name, name, role, upright(image, name), upright(label, name), hu=False)
    if (raw / UNLABELLED).is_dir():
        for path in by_natural_order(listing(raw / UNLABELLED, (".jpg", ".png"))):
            name = stem(path)
            yield Case(name, patient(name), "unlabelled", upright(grey(path), name), hu=False)


def upright(image: npt.NDArray, name: str) -> npt.NDArray:
    """Bring a released image to the store's (1, H, W)."""
    return to_store(image[:, :, None], axcodes(name) + "S")
