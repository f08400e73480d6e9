"""Attention maps of a classifier: normalised, accumulated over epochs, merged with saliency into label maps."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from covidseg.losses.targets import UNLABELLED

F32 = npt.NDArray[np.float32]
U8 = npt.NDArray[np.uint8]
FUSIONS = ("average", "max", "last")


def normalised(cam_NHW: F32) -> F32:
    """Return the positive part of activation maps (N, h, w) over its maximum in each map; a map without any is 0."""
    positive = np.maximum(cam_NHW, 0)
    return positive / np.maximum(positive.max(axis=(1, 2), keepdims=True), np.float32(1e-12))


class Accumulated:
    """The attention maps of some slices, accumulated over epochs in each way of ``FUSIONS``.

    ``average`` is the running mean M_t = ((t - 1) M_{t-1} + A_t) / t over the epochs in which a slice was found (the
    attention fusion paper, section 3.1), ``max`` their maximum (OAA, Jiang et al., ICCV 2019, eq. 2), ``last`` the
    newest one. ``kept`` are the maps of a few epochs, 8-bit, 0 where the slice was not found.
    """

    def __init__(self, slices: int, shape: tuple[int, int], epochs: int) -> None:
        """Begin with nothing found. ``epochs``: of how many epochs the maps are kept."""
        self.times = np.zeros(slices, np.int64)
        self.maps = {name: np.zeros((slices, *shape), np.float32) for name in FUSIONS}
        self.kept = np.zeros((slices, epochs, *shape), np.uint8)

    def add(self, at: npt.NDArray[np.int64], maps_NHW: F32) -> None:
        """Add the maps of an epoch for the slices that were found in it, by their places."""
        self.times[at] += 1
        share = np.float32(1) / self.times[at, None, None].astype(np.float32)
        self.maps["average"][at] += (maps_NHW - self.maps["average"][at]) * share
        self.maps["max"][at] = np.maximum(self.maps["max"][at], maps_NHW)
        self.maps["last"][at] = maps_NHW

    def keep(self, number: int, at: npt.NDArray[np.int64], maps_NHW: F32) -> None:
        """Keep the maps of an epoch, the ``number``-th that is kept."""
        self.kept[at, number] = to_8bit(maps_NHW)

    def state(self) -> dict[str, Any]:
        """Return the arrays by name, for a resume state."""
        return {"times": self.times, "kept": self.kept, **self.maps}

    def restore(self, state: dict[str, Any]) -> None:
        """Put back what ``state`` returned."""
        self.times, self.kept = state["times"], state["kept"]
        self.maps = {name: state[name] for name in FUSIONS}


def kept_epochs(first: int, last: int, most: int) -> list[int]:
    """Return at most ``most`` epochs whose maps are kept, from the first that counts to the last, evenly spread."""
    wanted = np.linspace(first, last, min(most, last - first + 1))
    return sorted({round(float(epoch)) for epoch in wanted})


def to_8bit(values: F32) -> U8:
    """Return maps in 0..1 as 8 bits."""
    return np.rint(values * 255).astype(np.uint8)


def merge(map_HW: U8, saliency_HW: U8, foreground: float, background: float) -> U8:
    """Return the label map of a slice with lesion: 1, 0, or 255 where nothing is known (section 3.1, last paragraph).

    A pixel is lesion where its attention reaches ``foreground``; else background where its saliency is at most
    ``background``; else it has no label. Maps are 8-bit, the thresholds shares of 255.
    """
    labels = np.where(saliency_HW <= round(background * 255), np.uint8(0), np.uint8(UNLABELLED))
    return np.where(map_HW >= round(foreground * 255), np.uint8(1), labels)


def probability(map_HW: U8, foreground: float) -> U8:
    """Return an attention map as a probability: linear below and above ``foreground``, which becomes 0.5.

    So a mask at the threshold of every protocol is the mask of the labels.
    """
    threshold = round(foreground * 255)
    return np.interp(map_HW, [0, threshold, 255], [0, 128, 255]).round().astype(np.uint8)
