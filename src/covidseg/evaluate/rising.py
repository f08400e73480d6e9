"""Whether validation was still rising when a training ended: then it was too short."""

from __future__ import annotations

from collections.abc import Sequence

RISING = "validation was still rising at the end"
LAST = 5  # the part of the validations that counts as the end: a fifth
GAIN = 0.01  # DSC by which the end has to be better than all before; less is chance
FEWEST = 5  # validations below which nothing is said


def note(dsc: Sequence[float]) -> list[str]:
    """Return a sentence where the best of the last fifth of a training's validations beats all before, else none.

    ``dsc``: the validation DSC of each epoch that was validated, in order.
    """
    if len(dsc) < FEWEST:
        return []
    end = max(1, len(dsc) // LAST)
    gain = max(dsc[-end:]) - max(dsc[:-end])
    return [f"{RISING} (DSC {gain:+.3f} in the last fifth); train for more epochs"] if gain >= GAIN else []
