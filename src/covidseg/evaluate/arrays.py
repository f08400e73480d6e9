"""One scan or slice as arrays, scored under a protocol."""

from __future__ import annotations

import math

from numpy.typing import ArrayLike

from covidseg.evaluate.score import LESION, Slice, score_slices, summarise
from covidseg.metrics.arrays import check_spacing, checked
from covidseg.schema import Protocol


def score(
    protocol: Protocol, truth: ArrayLike, prediction: ArrayLike, spacing: tuple[float, float, float] | None
) -> dict[str, float]:
    """Return metric -> value over the protocol's unit, see ``evaluate.score_arrays``."""
    true, prob = checked(truth, prediction)
    check_spacing(spacing, 3)
    if true.ndim == 2:
        true, prob = true[None], prob[None]
    steps = (math.nan,) * 3 if spacing is None else spacing
    slices = [Slice("case", f"case/{k:03d}", k, LESION, prob[k], true[k], steps) for k in range(len(true))]
    found = summarise(score_slices(protocol, slices), protocol)[LESION]
    values = {key: found[key][metric.summary] for key, metric in protocol.metrics.items()}
    return {key: math.nan if value is None else float(value) for key, value in values.items()}
