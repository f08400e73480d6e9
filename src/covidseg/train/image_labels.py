"""Slices with one label each: whether they show the lesion. As a label map that is one of a single pixel."""

from __future__ import annotations

import numpy as np

from covidseg.base.errors import UserError
from covidseg.train.job import Job
from covidseg.train.loader import U8, Rows, Slices


class ImageLabelled(Slices):
    """Slices of a data set's tensors whose target is (n, 1, 1): 1 where any pixel is of the one class, else 0."""

    def target(self, rows: Rows) -> U8:
        """Return the label of some rows."""
        return np.any(super().target(rows) > 0, axis=(1, 2)).astype(np.uint8).reshape(-1, 1, 1)


def shown(slices: Slices, rows: Rows) -> np.ndarray:
    """Return for some rows whether the slice shows the lesion."""
    found: np.ndarray = slices.target(rows)[:, 0, 0] > 0
    return found


def check_both(job: Job, sick: np.ndarray) -> None:
    """Raise UserError when all training slices have the same label: then there is nothing to tell apart."""
    if sick.all() or not sick.any():
        what, other = ("show", "without it") if sick.all() else ("are without", "with it")
        raise UserError(
            f"{job.split}: all {len(sick)} training slices of fold {job.fold} {what} {job.spec.classes[0]}; "
            f"a classifier also needs slices {other} (keep: all keeps those without lesion)"
        )


def accuracy(p: np.ndarray, sick: np.ndarray) -> float:
    """Return the share of slices whose label the probability at 0.5 gives."""
    return float(((p >= 0.5) == sick).mean())


def auc(p: np.ndarray, sick: np.ndarray) -> float | None:
    """Return the area under the ROC curve: how often a slice with lesion has the higher probability, ties count half.
    None where all slices are of one kind.
    """
    from scipy.stats import rankdata

    positive, negative = int(sick.sum()), int((~sick).sum())
    if not positive or not negative:
        return None
    ranks = rankdata(p)[sick].sum()
    return float((ranks - positive * (positive + 1) / 2) / (positive * negative))
