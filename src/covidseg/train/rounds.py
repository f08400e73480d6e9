"""The rules of self-training: which slices join, when it stops, which round is kept. No torch is imported."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Rows = npt.NDArray[np.int64]


def draw(pool: Rows, drawn: Rows, take: float, random: np.random.Generator) -> Rows:
    """Return ``drawn`` and the rows that join it: a random ``take`` of the pool, or what is left of it.

    SSA-Net, section 3.3, steps 5 and 6: t slices move from the unlabelled to the pseudo-labelled set; once fewer than
    t are left all of them move, and then none.
    """
    left = np.setdiff1d(pool, drawn)
    wanted = min(len(left), max(1, round(take * len(pool))))
    return np.concatenate([drawn, np.sort(random.choice(left, wanted, replace=False))])


def stopped(val_dsc: Sequence[float | None]) -> bool:
    """Return whether training is over: the last round's validation DSC is not above that of the round before.

    Without validation cases there is nothing to stop it.
    """
    if len(val_dsc) < 2:
        return False
    before, last = val_dsc[-2:]
    return before is not None and last is not None and last <= before


def best(val_dsc: Sequence[float | None]) -> int:
    """Return the round to keep: the first of the best by validation DSC, or the last one where there is none."""
    known = [value for value in val_dsc if value is not None]
    return val_dsc.index(max(known)) if known else len(val_dsc) - 1
