"""Tensors: a data set's slices at a network's input size, as 8-bit arrays on disk and a table of where each came
from."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from covidseg.base import csvfile, files, records
from covidseg.base.errors import UserError
from covidseg.data.canonical import U8, Store, kept, read_table
from covidseg.data.ondisk import OnDisk
from covidseg.schema import Dataset

ARRAYS = ("image", "lung", "label")
RECORD = "tensors.json"
FILES = (*(f"{key}.npy" for key in ARRAYS), "slices.csv")
COLUMNS = [
    "index", "slice", "case", "patient", "position", "role", "native_height", "native_width",
    "top", "left", "height", "width", "dz", "dy", "dx",
]  # fmt: skip


@dataclass(frozen=True)
class Window:
    """A part of a slice in native pixels; it may reach beyond the image, where it is zero."""

    top: int
    left: int
    height: int
    width: int

    def paste(self, piece: U8, shape: tuple[int, int]) -> U8:
        """Invert ``cut``: return an (H, W) array of zeros with the window's pixels in their place."""
        out = np.zeros(shape, np.uint8)
        top, left = max(self.top, 0), max(self.left, 0)
        inside = out[top : max(self.top + self.height, 0), left : max(self.left + self.width, 0)]
        y, x = top - self.top, left - self.left
        inside[...] = piece[y : y + inside.shape[0], x : x + inside.shape[1]]
        return out

    def cut(self, array: U8) -> U8:
        """Return the window of an (H, W) array, zero-padded."""
        top, left = max(self.top, 0), max(self.left, 0)
        inside = array[top : max(self.top + self.height, 0), left : max(self.left + self.width, 0)]
        if inside.shape == (self.height, self.width):
            return inside
        out = np.zeros((self.height, self.width), np.uint8)
        y, x = top - self.top, left - self.left
        out[y : y + inside.shape[0], x : x + inside.shape[1]] = inside
        return out


@dataclass(frozen=True)
class Tensors:
    """A folder of tensors: uint8 arrays (N, size, size), read by rows, and the table's columns as lists of length N."""

    image: OnDisk | U8
    lung: OnDisk | U8
    label: OnDisk | U8
    columns: dict[str, list[Any]]
    image_labels: bool = False  # then a label of 255 is a pixel without one

    def __len__(self) -> int:
        return len(self.image)


def build(canonical: Path, dataset: Dataset, size: int, lungs: Path | None, out: Path) -> None:
    """Write ``image.npy``, ``lung.npy``, ``label.npy`` and ``slices.csv`` under ``out``.

    Slices are chosen by ``dataset.keep`` (unlabelled ones always stay), cropped by ``dataset.crop`` round the lungs'
    centre of gravity (SSA-Net, section 4.2), and resized: images bilinear with antialiasing, masks to the nearest
    pixel. ``lungs`` is a ``lungs.h5``; without it lung.npy is 1 everywhere and crops go round the image's centre.
    Labels of unlabelled slices are 0. Unlabelled cases of a user's folder come last, so that a new one moves no
    other. One case is in memory at a time. The record ``tensors.json`` is written last; it holds case -> hash of its
    arrays and its lines in the table.
    """
    hashes: dict[str, str] = {}
    csvfile.write(out / "slices.csv", COLUMNS, _written(canonical, dataset, size, lungs, out, hashes))
    source = "none"
    if lungs is not None:
        with Store(lungs) as masks:
            source = str(masks.file_attrs()["source"])
    made = [out / name for name in FILES]
    more = {"image_labels": True} if dataset.image_labels else {}
    records.write(out / RECORD, made, dataset=canonical.name, size=size, lungs=source, cases=hashes, **more)


def _written(
    canonical: Path, dataset: Dataset, size: int, lungs: Path | None, out: Path, hashes: dict[str, str]
) -> Iterator[dict[str, Any]]:
    """Write the arrays; yield a row of the table for each slice that is in them, and fill in each case's hash."""
    path = canonical / "slices.csv"
    number = sum(kept(row, dataset) for row in read_table(path))
    if not number:
        raise UserError(f"{path}: no slice passes keep: {dataset.keep}; set keep: all")
    index = itertools.count()
    with ExitStack() as stack:
        store = stack.enter_context(Store(canonical))
        masks = stack.enter_context(Store(lungs)) if lungs else None
        (out / RECORD).unlink(missing_ok=True)
        writers = {key: stack.enter_context(_npy(out / f"{key}.npy", number, size)) for key in ARRAYS}
        chosen = (row for row in read_table(path) if kept(row, dataset))
        if dataset.folder is not None:  # of others the order is that of the results there are
            chosen = (
                row
                for last in (False, True)
                for row in read_table(path)
                if (row["role"] == "unlabelled") == last and kept(row, dataset)
            )
        for case, group in itertools.groupby(chosen, key=lambda row: row["case"]):
            image, lung = store.image(case), lung_of(masks, case)
            arrays = {"image": image, "label": store.label(case), "lung": lung}
            window = crop_window(image.shape, lung, dataset.crop.size if dataset.crop else None)
            digest = hashlib.sha256()
            for row in group:
                for key, array in arrays.items():
                    piece = fit(array, row["position"], window, size, key).tobytes()
                    writers[key].write(piece)
                    digest.update(piece)
                native = {"native_height": row["height"], "native_width": row["width"], "index": next(index)}
                where = {"top": window.top, "left": window.left, "height": window.height, "width": window.width}
                line = {key: _blank(value) for key, value in (row | native | where).items() if key in COLUMNS}
                digest.update(repr(sorted(line.items())).encode())
                yield row | native | where
            hashes[case] = digest.hexdigest()[:16]


def load(folder: Path) -> Tensors:
    """Open a folder of tensors. Raises UserError when one of its files is missing or not what its record names."""
    columns: dict[str, list[Any]] = {key: [] for key in COLUMNS}
    for row in read_rows(folder):
        for key, values in columns.items():
            values.append(row[key])
    arrays = {}
    for key in ARRAYS:
        with records.parsing(folder / f"{key}.npy"):
            arrays[key] = OnDisk(records.verified(folder / f"{key}.npy", RECORD))
    if {len(array) for array in arrays.values()} != {len(columns["slice"])}:
        raise records.damaged(folder / RECORD, "arrays and slices.csv differ in length")
    known = records.read(folder / RECORD)
    return Tensors(**arrays, columns=columns, image_labels=bool(known.get("image_labels")))


def read_rows(folder: Path) -> Iterator[dict[str, Any]]:
    """Yield the rows of the table of a folder of tensors. Raises UserError when it is not what its record names."""
    return read_table(folder / "slices.csv", RECORD)


def crop_window(shape: tuple[int, ...], lung: U8 | None, size: int | None) -> Window:
    """Return the part of an (S, H, W) volume's slices that enters the tensors.

    A slice larger than ``size`` in height or width gives a window of size x size round the lungs' centre of gravity
    over the volume, moved inside the image; where the image is the smaller side, the window is centred on it.
    """
    height, width = shape[1:]
    if size is None or (height <= size and width <= size):
        return Window(0, 0, height, width)
    centre = ((height - 1) / 2, (width - 1) / 2)
    if lung is not None and lung.any():
        mass = lung.sum(axis=0, dtype=np.int64)
        centre = tuple(np.average(np.arange(n), weights=mass.sum(axis=1 - i)) for i, n in enumerate(mass.shape))
    top, left = (
        min(max(round(c - (size - 1) / 2), 0), n - size) if n >= size else -((size - n) // 2)
        for c, n in zip(centre, (height, width), strict=True)
    )
    return Window(top, left, size, size)


def resize(array: U8, shape: tuple[int, int], nearest: bool = False) -> U8:
    """Resize an (H, W) array to ``shape``: bilinear, with antialiasing when it shrinks, or the nearest pixel."""
    from PIL import Image

    if array.shape == shape:
        return array
    how = Image.Resampling.NEAREST if nearest else Image.Resampling.BILINEAR
    return np.asarray(Image.fromarray(np.ascontiguousarray(array)).resize((shape[1], shape[0]), how))


def lung_of(masks: Store | None, case: str) -> U8 | None:
    """Return a case's lung mask; None without masks. Raises UserError when the file lacks the case."""
    if masks is None:
        return None
    lung = masks.lung(case)
    if lung is None:
        raise records.damaged(masks.path, f"no lung mask of case {case!r}")
    return lung


def fit(array: U8 | None, position: int, window: Window, size: int, key: str) -> U8:
    """Return one slice of an array in its window at the tensors' size; a missing lung is 1, a missing label 0."""
    if array is None:
        return np.full((size, size), key == "lung", np.uint8)
    return resize(window.cut(array[position]), (size, size), nearest=key != "image")


def _blank(value: Any) -> Any:
    return "" if isinstance(value, float) and np.isnan(value) else value


@contextmanager
def _npy(path: Path, slices: int, size: int) -> Iterator[IO[bytes]]:
    """Yield a file that takes the slices' bytes after a .npy header and replaces ``path`` when all of them came.

    Written as a plain file, not through a memory map: on a full disk a map kills the process instead of raising.
    """
    with files.replacing(path) as temporary, open(temporary, "wb") as f:
        header = {"descr": "|u1", "fortran_order": False, "shape": (slices, size, size)}
        np.lib.format.write_array_header_1_0(f, header)
        yield f
