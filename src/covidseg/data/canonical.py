"""The canonical store: every data set as 8-bit slices at native size with labels, and a table of its slices.

``slices.h5`` has one group per case with ``image``, ``label`` and ``lung`` (all uint8, (S, H, W)), ``slices.csv`` one
line per slice. Axes: slices from foot to head, rows from front to back, columns from the patient's right to left.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt

from covidseg.base import csvfile, names, records
from covidseg.base.errors import UserError
from covidseg.base.labels import UNLABELLED
from covidseg.data import slabs
from covidseg.data.full import hdf5
from covidseg.schema import Dataset

U8 = npt.NDArray[np.uint8]
HU_BELOW = -200  # a volume that reaches below holds raw HU: windowed data start at 0 (spec C-1)
UNKNOWN = (float("nan"),) * 3
RECORD = "import.json"
IMAGE_LABEL = "image_label"  # column: 1 where an image shows the lesion and nobody drew it, 0 where it does not
COLUMNS = ["slice", "case", "patient", "position", "role", "height", "width", "dz", "dy", "dx"]


@dataclass
class Case:
    """One case as an importer yields it, in the store's orientation. Its arrays may be slabs of ``data.slabs``.

    ``image`` holds the file's own values, (S, H, W); ``label`` the values of ``Dataset.classes``, None when unlabelled;
    ``lung`` 0/1, None when the data set brings none; ``spacing`` (dz, dy, dx) in mm, NaN when unknown. ``affine`` and
    ``axcodes`` are those of the NIfTI file, so that a mask can be written back on its grid. ``hu`` overrides the guess
    whether the values are raw HU, for cases cut out of a larger volume. ``day``: of a follow-up series.
    ``notes``: what the file leaves unknown, as its voxel sizes.
    """

    name: str
    patient: str
    role: str
    image: Any
    label: Any = None
    lung: Any = None
    spacing: tuple[float, float, float] = UNKNOWN
    affine: npt.NDArray[np.float64] | None = None
    axcodes: str | None = None
    hu: bool | None = None
    day: int | None = None
    notes: tuple[str, ...] = ()


def is_hu(image: npt.NDArray) -> bool:
    """Tell raw HU from values already windowed to 0..255, by the value range (spec C-1)."""
    return bool(image.min() < HU_BELOW)


def to_8bit(image: npt.NDArray, window: tuple[float, float] | None, where: str, hu: bool | None = None) -> U8:
    """Apply the intensity rule: raw HU through ``window`` to 0..255, windowed values as they are.

    Raises UserError when the voxels are HU and there is no window, or are neither HU nor within 0..255.
    """
    if image.dtype == np.uint8:
        return np.ascontiguousarray(image)
    values = image.astype(np.float32)
    if is_hu(image) if hu is None else hu:
        if window is None:
            raise UserError(f"{where}: voxels are raw HU; give the data set a window, e.g. window: [-1250, 250]")
        low, high = window
        values = (values - low) * (255 / (high - low))
    elif values.min() < -1 or values.max() > 256:  # resampling may overshoot by a little
        raise UserError(
            f"{where}: values from {values.min():g} to {values.max():g} are neither raw HU nor windowed to 0..255; "
            "convert the file to one of them"
        )
    return np.rint(values.clip(0, 255)).astype(np.uint8)


def write(
    cases: Iterable[Case], dataset: Dataset, out: Path, left_out: Mapping[str, list[str]] | None = None
) -> dict[str, list[str]]:
    """Write ``out/slices.h5``, ``out/slices.csv`` and last their record ``out/import.json``.

    One case is in memory at a time, and the same cases give the same bytes. The record holds ``left_out``, reason ->
    files of the user's folder that no case uses, and what files leave unknown; returned is the latter, note -> cases.

    Raises UserError for a case without slices, arrays of different shapes, labels outside the map, voxels that are not
    finite, a name used twice, no cases at all, and a full disk; the folder is then as before.
    """
    rows: list[dict[str, Any]] = []
    notes: dict[str, list[str]] = {}
    (out / RECORD).unlink(missing_ok=True)
    with hdf5(out / "slices.h5") as store:
        for case in cases:
            _check(case, dataset)
            if case.name in store.file:
                raise UserError(f"{case.name}: two cases of this name; rename one of the files")
            rows += _add(store.file, case, dataset)
            for note in case.notes:
                notes.setdefault(note, []).append(case.name)
            store.check()
        if not rows and not (dataset.sources and all(source.optional for source in dataset.sources)):
            raise UserError(f"{dataset.title}: no cases found; check the data set's raw folder")
    more = [name for name in ("day", IMAGE_LABEL) if any(name in row for row in rows)]
    csvfile.write(out / "slices.csv", COLUMNS + more + _pixel_columns(rows, dataset), rows)
    said = {key: value for key, value in (("left_out", left_out), ("notes", notes)) if value}
    records.write(out / RECORD, [out / "slices.h5", out / "slices.csv"], dataset=out.name, **said)
    return notes


def _check(case: Case, dataset: Dataset) -> None:
    """Raise UserError when a case cannot be stored as it is."""
    names.check(case.name, dataset.title)
    if not case.patient.isprintable():
        raise UserError(
            f"{dataset.title}: patient {case.patient!r} of {case.name} holds a control character; correct it"
        )
    if case.image.ndim != 3 or 0 in case.image.shape:
        raise UserError(f"{case.name}: expected slices x rows x columns, found shape {case.image.shape}")
    if isinstance(case.image, np.ndarray) and case.image.dtype.kind == "f" and not np.isfinite(case.image).all():
        raise UserError(f"{case.name}: NaN or infinite voxels; repair or leave out the file")
    for kind, mask in (("label", case.label), ("lung mask", case.lung)):
        if mask is not None and mask.shape != case.image.shape:
            raise UserError(f"{case.name}: {kind} of shape {mask.shape} for an image of shape {case.image.shape}")


def _add(store: Any, case: Case, dataset: Dataset) -> list[dict[str, Any]]:
    """Store one case; return its table rows."""
    hu = is_hu(case.image) if case.hu is None else case.hu
    image = slabs.Mapped(case.image, lambda block: to_8bit(block, dataset.window, case.name, bool(hu)))
    group = store.create_group(case.name)
    group.attrs["hu"] = bool(hu)  # what a model learned, a new scan has to show
    put(group, "image", image)
    labels = None if case.label is None else put(group, "label", case.label)
    lungs = None
    if case.lung is not None:
        lungs = put(group, "lung", slabs.Mapped(case.lung, lambda block: (block > 0).astype(np.uint8)))
    if labels is not None:
        legal = {0, *dataset.classes.values(), *([UNLABELLED] if dataset.image_labels else [])}
        if unknown := sorted(set(np.flatnonzero(labels.sum(axis=0)).tolist()) - legal):
            raise UserError(f"{case.name}: label values {unknown} are not in the map {dataset.classes}")
    group.attrs["spacing"] = np.array(case.spacing, np.float64)
    group.attrs["patient"] = case.patient
    group.attrs["role"] = case.role
    if case.day is not None:
        group.attrs["day"] = case.day
    if case.affine is not None and case.axcodes is not None:
        group.attrs["affine"] = np.asarray(case.affine, np.float64)
        group.attrs["axcodes"] = case.axcodes

    dz, dy, dx = (float(f"{mm:.6g}") for mm in case.spacing)
    rows = []
    slices, height, width = image.shape
    for position in range(slices):
        row: dict[str, Any] = {
            "slice": f"{case.name}/{position:03d}",
            "case": case.name,
            "patient": case.patient,
            "position": position,
            "role": case.role,
            "height": height,
            "width": width,
            "dz": dz,
            "dy": dy,
            "dx": dx,
            **({} if case.day is None else {"day": case.day}),
        }
        if labels is not None:
            counts = labels[position]
            shows = dataset.image_labels and counts[UNLABELLED]
            row |= {f"px_{name}": None if shows else int(counts[value]) for name, value in dataset.classes.items()}
            if dataset.image_labels:
                row[IMAGE_LABEL] = int(bool(shows))
        if lungs is not None:
            row[lung_column(dataset)] = int(lungs[position, 1])
        rows.append(row)
    return rows


def _pixel_columns(rows: Sequence[dict[str, Any]], dataset: Dataset) -> list[str]:
    own = lung_column(dataset)
    lung = [own] if any(own in row for row in rows) else []
    return [f"px_{name}" for name in dataset.classes] + lung


def lung_column(dataset: Dataset) -> str:
    """Return the column of the pixels of the lung mask, which is no label's: those are ``px_`` and the label's name."""
    return "lung_mask_px" if "lung" in dataset.classes else "px_lung"


def put(group: Any, key: str, volume: Any) -> npt.NDArray[np.int64]:
    """Store an (S, H, W) array of uint8, or slabs of one, one compressed chunk per slice and no time stamp.

    Returns the number of voxels of each value on each slice, (S, 256).
    """
    shape, counts = volume.shape, np.zeros((volume.shape[0], 256), np.int64)
    options = {"chunks": (1, *shape[1:]), "compression": "gzip", "compression_opts": 1, "track_times": False}
    stored = group.create_dataset(key, shape, np.uint8, **options)
    for place, block in slabs.blocks(volume):
        stored[place] = block
        counts[place] = [np.bincount(piece.ravel(), minlength=256) for piece in block]
    return counts


def kept(row: Mapping[str, Any], dataset: Dataset) -> bool:
    """Tell whether a slice, as a row of the table, enters tensors by ``Dataset.keep``; unlabelled ones always do."""
    counts = [row.get(f"px_{name}") for name in dataset.kept]
    return not counts or None in counts or any(counts)


_WHOLE = {"index", "position", "day", IMAGE_LABEL, "native_height", "native_width", "top", "left", "height", "width"}


def _kind(column: str) -> type:
    if column in _WHOLE or column.startswith("px_") or column == "lung_mask_px":
        return int
    return float if column in ("dz", "dy", "dx") else str


def read_table(path: Path, record: str = RECORD) -> Iterator[dict[str, Any]]:
    """Yield the rows of a table of slices: counts and positions as int (None where empty), spacing as float (NaN where
    empty). A row takes about 3 KiB: keep what you need of it, not all of them.

    ``record`` is the name of the record beside it. Raises UserError when the table is not what that record names.
    """
    with records.parsing(path):
        for row in csvfile.read(records.verified(path, record), _kind):
            row.update({key: sys.intern(row[key]) for key in ("case", "patient", "role") if key in row})  # often equal
            yield row


class Store:
    """Reader of ``slices.h5`` and of ``lungs.h5``, for use in a ``with`` block."""

    def __init__(self, path: Path) -> None:
        """Open ``path``, a store's file or the folder with ``slices.h5``.

        Raises UserError when it is missing or not the file that its record names.
        """
        import h5py

        self.path = path if path.suffix == ".h5" else path / "slices.h5"
        record = RECORD if self.path.name == "slices.h5" else self.path.with_suffix(".json").name
        with records.parsing(self.path):
            self._file = h5py.File(records.verified(self.path, record), "r")

    def __enter__(self) -> Store:
        return self

    def __exit__(self, kind: type[BaseException] | None, e: BaseException | None, at: TracebackType | None) -> None:
        self._file.close()

    def cases(self) -> list[str]:
        """Return the names of the cases, sorted."""
        return sorted(self._file)

    def image(self, case: str) -> U8:
        """Return the image of a case, (S, H, W)."""
        image = self._get(case, "image")
        if image is None:
            raise UserError(f"{self.path}: no image of case {case!r}")
        return image

    def opened(self, case: str) -> Any:
        """Return the image of a case, (S, H, W), to be read by slices while the store is open."""
        return self._group(case)["image"]

    def label(self, case: str) -> U8 | None:
        """Return the labels of a case, (S, H, W); None when it is unlabelled."""
        return self._get(case, "label")

    def lung(self, case: str) -> U8 | None:
        """Return the lung mask of a case, (S, H, W) of 0/1; None when there is none."""
        return self._get(case, "lung")

    def attrs(self, case: str) -> dict[str, Any]:
        """Return spacing, patient and role of a case, and of NIfTI also affine and axcodes."""
        return dict(self._group(case).attrs)

    def file_attrs(self) -> dict[str, Any]:
        """Return the attributes of the whole file."""
        return dict(self._file.attrs)

    def _group(self, case: str) -> Any:
        if case not in self._file:
            raise UserError(f"{self.path}: no case {case!r}; import the data set again")
        return self._file[case]

    def _get(self, case: str, key: str) -> U8 | None:
        group = self._group(case)
        return np.asarray(group[key][...], np.uint8) if key in group else None
