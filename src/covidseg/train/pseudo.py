"""Pseudo labels: a model's labels of unlabelled slices, and these slices as a source for the next training."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from covidseg.base import records
from covidseg.data import tensors
from covidseg.data.full import hdf5
from covidseg.losses.targets import label_map
from covidseg.train.loader import U8, Rows, SliceLoader, Slices, evaluation_batch, in_batches
from covidseg.train.predict import forward


@dataclass(frozen=True)
class Labelled:
    """What a labelling found. ``pixels``: of background and each class; ``untrusted``: share of the lesion pixels of
    the likeliest class that trust made background (None without trust, or where there is no lesion); ``agreement``:
    mean DSC of lesion against the truth over the ``known`` slices that have one (None without any).
    """

    pixels: list[int]
    untrusted: float | None
    agreement: float | None
    known: int


def pseudo_labels(p_NKHW: Tensor, trust: float | None) -> Tensor:
    """Return the label map (N, H, W), uint8, of foreground probabilities: 0 background, 1..K (SSA-Net, eq. 9).

    It is the likeliest of background and classes; with ``trust`` a class has to be above it, else it is background.
    """
    labels = label_map(p_NKHW)
    if trust is not None:
        labels = labels * (p_NKHW.amax(1) > trust)
    return labels.to(torch.uint8)


def write_labels(
    model: nn.Module, loader: SliceLoader, rows: Rows, classes: int, trust: float | None, truth: Rows,
    values: tuple[int, ...], path: Path,
) -> Labelled:  # fmt: skip
    """Label some rows of the pool and write them: ``index`` int32 (n,), ``label`` uint8 (n, H, W).

    ``truth``: the rows whose labels are known, in which ``values`` are lesion; they are only compared with.
    """
    model.to(loader.device).eval()
    pixels, likely, scores = np.zeros(classes + 1, np.int64), 0, []
    known = np.isin(rows, truth)
    source = loader.sources[0].loaded
    with hdf5(path) as writer:
        append = writer.slices("label", rows, (loader.size, loader.size))
        at = 0
        for batch in in_batches(rows, evaluation_batch(loader.size, loader.device)):
            x, _ = next(loader.batches([batch]))
            p_NKHW = forward(model, x)
            found: U8 = pseudo_labels(p_NKHW, trust).cpu().numpy()
            likely += int((pseudo_labels(p_NKHW, None) > 0).sum()) if trust is not None else 0
            append(found)
            pixels += np.bincount(found.ravel(), minlength=classes + 1)
            for k in np.flatnonzero(known[at : at + len(found)]):
                scores.append(_dice(found[k] > 0, np.isin(source.label[batch[k]], values)))
            at += len(found)
    lesion = int(pixels[1:].sum())
    return Labelled(
        pixels.tolist(),
        1 - lesion / likely if likely else None,
        float(np.mean(scores)) if scores else None,
        len(scores),
    )


def _dice(a: np.ndarray, b: np.ndarray) -> float:
    both = int(a.sum()) + int(b.sum())
    return 2 * int((a & b).sum()) / both if both else 1.0


class Chosen(Slices):
    """Some slices of a pool, in the order of ``index``, with a label (H, W) for each."""

    def __init__(self, loaded: tensors.Tensors, index: Rows, labels: Any, lungs: bool = True) -> None:
        super().__init__(loaded, {}, lungs)
        self.index, self.labels = index, labels

    def __len__(self) -> int:
        return len(self.index)

    def image(self, rows: Rows) -> U8:
        """Return the images of some rows."""
        return super().image(self.index[rows])

    def lung(self, rows: Rows) -> U8:
        """Return the lung masks of some rows."""
        return super().lung(self.index[rows])

    def target(self, rows: Rows) -> U8:
        """Return the pseudo label of each pixel of some rows."""
        return np.stack([self.labels[row] for row in rows])


class PseudoLabelled(Chosen):
    """The pool's slices that a labelling holds, in its order, with its labels."""

    def __init__(self, loaded: tensors.Tensors, path: Path, lungs: bool = True) -> None:
        """Open the labels. Raises UserError when the file is missing or damaged."""
        index, labels = read_labels(path)
        super().__init__(loaded, index, labels, lungs)


class Soft(Chosen):
    """Slices whose labels are 255 times the probability of the one class; ``labels``: uint8 (n, H, W)."""

    soft = True


def read_labels(path: Path) -> tuple[Rows, Any]:
    """Return rows of the pool and their labels, as an open data set. Raises UserError for a missing or damaged file."""
    import h5py

    with records.parsing(path):
        file = h5py.File(path)
        return file["index"][()].astype(np.int64), file["label"]
