"""A user's own images without masks: PNG or JPEG of any size, and a CSV that says which of them show the lesion.

The CSV has a line per image below the folder: ``image``, its path there; ``label``, yes or no (also 1 or 0, true or
false, positive or negative), or nothing where it is not known; and, if wanted, ``patient``: images of one patient stay
on one side of a split. In the store an image with the lesion has no label at any pixel, one without is background.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from covidseg.base import csvfile
from covidseg.base.errors import UserError
from covidseg.base.files import regular
from covidseg.base.images import IMAGES
from covidseg.base.labels import UNLABELLED
from covidseg.base.names import check as check_name
from covidseg.data.canonical import Case
from covidseg.data.importers import leftout
from covidseg.data.importers.read import grey
from covidseg.schema import Dataset, OwnScans, parse

CLASS = "infection"
COLUMNS = ("image", "label")
LABELS = {
    **dict.fromkeys(("yes", "1", "true", "positive"), True),
    **dict.fromkeys(("no", "0", "false", "negative"), False),
}


@dataclass(frozen=True)
class Line:
    """What the CSV says of an image: its file, whether it shows the lesion (None: not known), and its patient."""

    path: Path
    shows: bool | None
    patient: str

    @property
    def role(self) -> str:
        """Return the role of its case."""
        return "unlabelled" if self.shows is None else "labelled"


def cases(raw: Path, dataset: Dataset) -> Iterator[Case]:
    """Yield a case of one slice per image, in the order of their names. ``Dataset.folder`` goes before ``raw``.

    Raises UserError for a CSV that does not fit the images, see ``read``, and for an image that is not grey.
    """
    assert dataset.image_labels is not None
    for name, line in sorted(read(dataset.folder or raw, dataset.image_labels).items()):
        image = grey(line.path)[None]
        label = None if line.shows is None else np.full(image.shape, UNLABELLED if line.shows else 0, np.uint8)
        yield Case(name, line.patient, line.role, image, label, hu=False)


def left_out(raw: Path, dataset: Dataset) -> dict[str, list[str]]:
    """Return reason -> files of the folder that ``cases`` does not use."""
    assert dataset.image_labels is not None
    root = dataset.folder or raw
    lines = read(root, dataset.image_labels)
    return leftout.left_out(root, [root / dataset.image_labels, *(line.path for line in lines.values())], {})


def described(scans: OwnScans, title: str) -> Dataset:
    """Return the data set that a user's images are. Raises UserError when the CSV is missing or wrong."""
    assert scans.image_labels is not None
    path = scans.folder / scans.image_labels
    if len(scans.classes or [CLASS]) != 1 or scans.unions:
        raise UserError(f"{path}: labels of images are of one class; name one under dataset.classes, and no unions")
    read(scans.folder, scans.image_labels)
    own = {
        "title": title,
        "about": f"images in {scans.folder}, labelled by {scans.image_labels}",
        "licence": "your own",
        "importer": "image_labels",
        "classes": {name: 1 for name in scans.classes or [CLASS]},
        "lungs": scans.lungs or "none",
    }
    return parse(Dataset, scans.model_dump() | own, str(path))


def default_split(scans: OwnScans) -> str:
    """Return the rule of the split where none is named: as many folds as there are labelled patients, at most five."""
    assert scans.image_labels is not None
    known = {line.patient for line in read(scans.folder, scans.image_labels).values() if line.shows is not None}
    if len(known) < 2:
        raise UserError(f"{scans.folder / scans.image_labels}: labels of one patient; label images of a second one")
    return f"folds-{min(5, len(known))}"


def read(folder: Path, file: str) -> dict[str, Line]:
    """Return the name of each case -> what the CSV says of it.

    Raises UserError for other columns, a label that is neither yes nor no, an image without a line, a line without an
    image, one with two lines, two images of one name, and labels that are all yes or all no.
    """
    path = folder / file
    images = _images(folder)
    names: dict[str, Path] = {}
    for image in images.values():
        name = check_name("-".join(image.relative_to(folder).with_suffix("").parts), str(image))
        if name in names:
            raise UserError(f"{image}: would be the case {name!r}, as {names[name]}; rename one of them")
        names[name] = image
    lines = _lines(path, images)
    if bare := [image for key, image in images.items() if key not in lines]:
        more = f" and {len(bare) - 1} more images" if len(bare) > 1 else ""
        raise UserError(f"{path}: no line for {bare[0].relative_to(folder)}{more}; add one, without a label if unknown")
    known = {line.shows for line in lines.values() if line.shows is not None}
    if len(known) < 2:
        said = "no image has a label" if not known else f"every label is {'yes' if known.pop() else 'no'}"
        raise UserError(f"{path}: {said}; a classifier learns from images with and without {CLASS}")
    return {name: lines[image.relative_to(folder).as_posix()] for name, image in names.items()}


def _images(folder: Path) -> dict[str, Path]:
    """Return the images below a folder by their path in it."""
    found = [path for path in leftout.below(folder) if leftout.is_read(path, IMAGES)]
    if not found:
        raise UserError(f"{folder}: no {', '.join(IMAGES)} file in it; name the folder of the images")
    return {path.relative_to(folder).as_posix(): path for path in found}


def _lines(path: Path, images: dict[str, Path]) -> dict[str, Line]:
    """Return image -> its line."""
    try:
        regular(path)
        header = csvfile.header(path)
        if {*header} - {*COLUMNS, "patient"} or not {*COLUMNS} <= {*header} or len(set(header)) < len(header):
            said = f"expected the columns image,label or image,label,patient; found {','.join(header)}"
            raise UserError(f"{path}: {said}")
        with csvfile.opened(path) as f:
            rows = list(csvfile.parse(f, csvfile.all_text))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; write one with the columns image,label") from None
    except (OSError, ValueError) as e:
        raise UserError(f"{path}: cannot be read ({e}); correct it") from e
    found: dict[str, Line] = {}
    for number, row in rows:
        image, word = row["image"].strip(), row["label"].strip().lower()
        if image not in images:
            raise UserError(f"{path}: line {number}: there is no image {image!r}; name its path below the folder")
        if image in found:
            raise UserError(f"{path}: line {number}: {image} has two lines; keep one")
        if word and word not in LABELS:
            raise UserError(f"{path}: line {number}: label {word!r}; write yes or no, or nothing if it is not known")
        patient = row.get("patient", "").strip() or image
        found[image] = Line(images[image], LABELS[word] if word else None, patient)
    return found
