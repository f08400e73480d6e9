"""A trained model, or a lung segmentation, for use from Python: on arrays and on files."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from covidseg.base.errors import UserError
from covidseg.inference import apply, model, scans, segmenters
from covidseg.inference.intensities import to_input
from covidseg.inference.segmenters import Found, Segmenter

UNKNOWN = (math.nan, math.nan, math.nan)


@dataclass(frozen=True)
class Predictor:
    """Segments scans: call it with an array, or let ``files`` read and write files."""

    segmenter: Segmenter

    @property
    def classes(self) -> list[str]:
        """The names of the classes; class k of this list is number k + 1 in a mask."""
        return list(self.segmenter.labels)

    @property
    def about(self) -> str:
        """The model, its hash, and whether it was trained on phantoms only."""
        return self.segmenter.about

    @property
    def caveats(self) -> list[str]:
        """What a reader of the masks must know."""
        return self.segmenter.caveats

    def __call__(
        self,
        image: ArrayLike,
        spacing: tuple[float, float, float] = UNKNOWN,
        *,
        hu: bool | None = None,
        probabilities: bool = False,
    ) -> Found:
        """Segment one scan (S, H, W), or one slice (H, W), which is taken as a scan of one slice.

        ``image`` holds Hounsfield units, or 8-bit slices where the model learned such; ``hu=True`` says that it is the
        former whatever the values look like. Slices run from foot to head, rows from front to back, columns from the
        patient's right to left. ``spacing`` is (dz, dy, dx) in mm. The result has ``classes``, uint8 (S, H, W) with 0
        for background; ``lung``, the lung mask or None; with ``probabilities`` also ``maps``, uint8 (K, S, H, W) with
        255 times the probability. Raises UserError for values that the model cannot read.
        """
        array = np.asarray(image)
        if array.ndim not in (2, 3) or not array.size or array.dtype.kind not in "iuf":
            raise UserError(f"image: expected numbers (S, H, W) or (H, W) (found {array.dtype} {array.shape})")
        volume = array[None] if array.ndim == 2 else array
        prepared = to_input(volume, self.segmenter.window, self.segmenter.learned, hu)
        return self.segmenter.segment(prepared, spacing, probabilities)

    def files(
        self,
        inputs: Sequence[Path],
        out: Path,
        *,
        format: apply.Format = "auto",
        probabilities: bool = False,
        say: Callable[[str], None] = lambda line: None,
    ) -> int:
        """Segment files and folders as the verb ``predict`` does; return how many scans could not be read.

        ``say`` receives a line per scan. Raises UserError where there is no scan, and before a mask would replace one.
        """
        found, left_out = scans.find(inputs)
        for line in left_out:
            say(line)
        return apply.run(self.segmenter, found, apply.Wanted(out, format, probabilities), say)


def of(name: str | Path, device: str, threads: int | None) -> Predictor:
    """Return a predictor, see ``inference.predictor``."""
    weights, mirror = segmenters.weights_folder(), Path(m) if (m := os.environ.get("COVIDSEG_MIRROR")) else None
    if segmenters.is_lung_model(str(name)):
        return Predictor(segmenters.of_lungs(str(name), device, weights, mirror))
    loaded = model.load(Path(name))
    return Predictor(segmenters.of_model(loaded, device, threads or len(os.sched_getaffinity(0)), weights, mirror))
