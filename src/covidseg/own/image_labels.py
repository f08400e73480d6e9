"""From a folder of images with a CSV of image labels, and no masks, to the paper file that learns from it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from covidseg.base import csvfile
from covidseg.data.importers import image_labels
from covidseg.data.importers.read import grey

STEPS, BATCH = 2000, 8  # optimizer steps of each training, images in each, within these epochs:
EPOCHS = (20, 150)
PAPER = """\
# Written by covidseg init from {folder}: {found}. Edit it as you like.
paper: {{title: {title}}}
dataset: {{folder: {data}, image_labels: {file}}}
defaults:
  net: {{name: attnfusion}}
  input: {{size: {size}, mode: slice}}
  losses: {{focal: {{weight: 10}}, tversky: {{log: true}}}}
  train: {{epochs: {epochs}, batch: {batch}, optimizer: {{name: adam, lr: 1.0e-3}}}}
runs:
  # A classifier learns yes and no. Its attention, averaged from from_epoch on, and saliency become labels of pixels.
  labels:
    net: {{name: classifier, encoder: resnet50}}
    losses: {{focal: false, tversky: false, cross_entropy: {{}}}}
    train: {{method: cam, epochs: {epochs}, from_epoch: {first}, batch: {batch}, saliency: contrast}}
  # A segmentation network learns these labels. Its masks are what you get.
  ours: {{train: {{labels: {{run: labels}}}}}}
tables:
  "1":
    caption: Our images, by their labels
    protocol: images
    metrics: {{Agrees: agrees, Missed: missed, Invented: invented}}
    facts: {{Accuracy: accuracy, AUC: auc}}
    rows: [{{label: Attention maps, run: labels}}, {{label: Masks, run: ours}}]
figures:
  "1": {{kind: attention_stages, caption: Attention of the classifier, run: labels}}
  "2": {{caption: Our images, groups: [{{runs: {{Attention maps: labels, Masks: ours}}, slices: 4}}]}}
"""


def labels_in(folder: Path) -> str | None:
    """Return the name of a folder's only CSV that begins as image labels do; None where it holds scans and masks."""
    if not folder.is_dir() or (folder / "imagesTr").is_dir():
        return None
    found = [path.name for path in sorted(folder.glob("*.csv")) if {*image_labels.COLUMNS} <= _header(path)]
    return found[0] if len(found) == 1 else None


def paper(name: str, folder: Path, file: str) -> tuple[str, list[str]]:
    """Return the text of the paper file, and what was found, in lines of words.

    Raises UserError for a CSV that does not fit the images, and for an image that is not grey.
    """
    lines = image_labels.read(folder, file)
    shapes = [grey(line.path).shape for line in lines.values()]
    count = {shows: sum(line.shows is shows for line in lines.values()) for shows in (True, False, None)}
    found = f"{count[True]} images with and {count[False]} without the lesion, {count[None]} without a label"
    patients = len({line.patient for line in lines.values()})
    sides = [max(shape) for shape in shapes]
    known = count[True] + count[False]
    epochs = max(EPOCHS[0], min(EPOCHS[1], round(STEPS * BATCH / known)))
    text = PAPER.format(
        folder=folder,
        found=found,
        title=json.dumps(f"Masks from image labels, {name}"),
        data=json.dumps(str(folder)),
        file=json.dumps(file),
        size=min(512, max(64, 32 * round(float(np.median(sides)) / 32))),
        epochs=epochs,
        first=max(1, epochs // 6),
        batch=BATCH,
    )
    rows, columns = zip(*shapes, strict=True)
    return text, [
        f"{folder}: images with labels in {file}, no masks",
        f"  images: {found}; {patients} patients",
        f"  size: {min(rows)} to {max(rows)} x {min(columns)} to {max(columns)} pixels",
    ]


def _header(path: Path) -> set[str]:
    try:
        return set(csvfile.header(path))
    except (OSError, ValueError):
        return set()
