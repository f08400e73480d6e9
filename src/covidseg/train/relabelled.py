"""Training slices with the label maps of another run in place of their truth."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from covidseg.base import files, records
from covidseg.base.errors import UserError
from covidseg.data import tensors
from covidseg.losses.targets import UNLABELLED
from covidseg.train.loader import U8, Rows, Slices


class Relabelled(Slices):
    """Slices of which some rows, ``train``, have the labels of a file; ``sha256`` of that file.

    The file is HDF5: ``index`` (n,), rows of the same tensors; ``labels`` uint8 (n, H, W), 0 background, 1..K the
    classes, 255 no label. Rows that do not train keep their truth, so that validation compares with it.
    """

    def __init__(
        self,
        loaded: tensors.Tensors,
        class_values: dict[str, tuple[int, ...]],
        train: Rows,
        path: Path,
        prior: Callable[[Rows], U8] | None = None,
    ) -> None:
        """Open the labels. Raises UserError when the file is damaged, of another size or lacks a training slice."""
        import h5py

        super().__init__(loaded, class_values, prior=prior)
        self._path, self._most = path, len(class_values)
        with records.parsing(path):
            self.sha256 = files.sha256(path)
            file = h5py.File(path)
            self._labels = file["labels"]
            place = {int(row): k for k, row in enumerate(file["index"][()])}
        missing = [loaded.columns["slice"][row] for row in train if int(row) not in place]
        if missing or self._labels.shape[1:] != loaded.label.shape[1:]:
            what = f"no labels of slice {missing[0]}" if missing else "labels of another size"
            raise UserError(f"{path}: {what}; {records.REPAIR}")
        self._place = {int(row): place[int(row)] for row in train}

    def target(self, rows: Rows) -> U8:
        """Return the label of each pixel of some rows. Raises UserError for a value that is no class."""
        out = super().target(rows)
        for k, row in enumerate(rows):
            if (place := self._place.get(int(row))) is not None:
                out[k] = self._labels[place]
        if ((out > self._most) & (out != UNLABELLED)).any():
            raise UserError(f"{self._path}: a label above {self._most} that is not {UNLABELLED}; make it again")
        return out
