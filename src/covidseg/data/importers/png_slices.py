"""zenodo20-slices: lesion slices of the COVID-19-CT-Seg volumes as 256x256 PNG with lung and infection masks.

``manifest_inferred.csv`` says which volume each slice probably comes from. The radiopaedia slices are upside down, and
those of one volume run from head to foot (seen on spine, liver and bronchi of every volume).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from covidseg.base import csvfile
from covidseg.base.errors import UserError
from covidseg.data.canonical import U8, Case
from covidseg.data.importers.patients import patient, volume
from covidseg.data.importers.read import grey, relabel, same_shape
from covidseg.data.orientation import to_store
from covidseg.schema import Dataset

MANIFEST = "manifest_inferred.csv"
MERGED = {"radiopaedia_29_86490_1|29_86491_1": "radiopaedia_29"}  # two volumes that matching could not tell apart
HEAD_FIRST = {"radiopaedia_7_85703_0"}


def cases(raw: Path, dataset: Dataset) -> Iterator[Case]:
    """Yield one case per inferred volume, its slices in the manifest's order."""
    for name, names in sorted(_volumes(raw / MANIFEST).items()):
        images: list[U8] = []
        labels: list[U8] = []
        lungs: list[U8] = []
        for file in names:
            image = grey(raw / "ct" / file)
            for folder, value, into in (("covid", dataset.classes["infection"], labels), ("lungs", 1, lungs)):
                mask = grey(raw / folder / file)
                same_shape(image, mask, raw / folder / file)
                into.append(relabel(mask, {0: 0, 255: value}, raw / folder / file))
            images.append(image)
        codes = ("I" if name in HEAD_FIRST else "S") + ("A" if name.startswith("radiopaedia") else "P") + "L"
        image, label, lung = (to_store(_stack(arrays, name), codes) for arrays in (images, labels, lungs))
        yield Case(name, patient(name), "labelled", image, label, lung, hu=False)


def _volumes(manifest: Path) -> dict[str, list[str]]:
    """Return the files of each volume, in order."""
    found: dict[str, list[tuple[int, str]]] = defaultdict(list)
    try:
        for row in csvfile.read(manifest, csvfile.all_text):
            inferred = row["volume_inferred"]
            name = MERGED.get(inferred) or volume(inferred)
            found[name].append((int(row["order_in_volume"]), row["file"]))
    except FileNotFoundError:
        raise UserError(f"{manifest}: no such file; fetch the data set again") from None
    except (KeyError, ValueError, TypeError) as e:
        raise UserError(f"{manifest}: expected columns file, volume_inferred, order_in_volume ({e})") from e
    return {name: [file for _, file in sorted(rows)] for name, rows in found.items()}


def _stack(arrays: list[U8], name: str) -> U8:
    if len({array.shape for array in arrays}) > 1:
        raise UserError(f"{name}: slices of different sizes; a volume needs one")
    return np.stack(arrays)
