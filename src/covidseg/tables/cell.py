"""One number of a table, and the verdict on it."""

from __future__ import annotations

import math
from dataclasses import dataclass

INSIDE = "inside our spread"
OUTSIDE = "outside our spread"
NOT_COMPARABLE = "not comparable"
NOT_RUN = "not run"
NOT_FOUND = "maps not found"  # that others released
NOTHING = "nothing printed"  # that survives
EQUAL = "equal"
DIFFERS = "differs"
AVERAGE = "average"  # over the classes of a run
GROUPS = {  # verdict -> what the scoreboard counts it as
    EQUAL: "equal",
    INSIDE: "within spread",
    OUTSIDE: "differs",
    DIFFERS: "differs",
    NOT_COMPARABLE: NOT_COMPARABLE,
    "": NOTHING,
    NOTHING: NOTHING,
    NOT_RUN: NOT_RUN,
    NOT_FOUND: NOT_RUN,
}
SIGNS = {"equal": "=", "within spread": "≈", "differs": "≠", NOT_COMPARABLE: "⊘", NOTHING: "", NOT_RUN: "○"}
SPREADS = 2.0  # a printed value within mean +- 2 standard deviations over folds and seeds is inside


@dataclass(frozen=True)
class Cell:
    """One number of a table. ``ours`` is the mean over what the protocol averages, slices or scans; ``sd`` is the
    deviation over folds and seeds. Of a median, ``quartiles`` stands in its place.

    ``cls`` is the class scored, or AVERAGE; files name it ``class``. ``printed_sd`` is the printed spread.
    """

    row: str
    run: str
    cls: str
    protocol: str
    column: str
    metric: str
    printed: float | None
    ours: float | None
    sd: float | None
    difference: float | None
    verdict: str
    why: str
    folds: int
    seeds: int
    slices: int
    digits: int = 4
    printed_sd: float | None = None
    quartiles: str = ""


def judge(
    printed: float | None,
    ours: float,
    sd: float | None,
    reasons: list[str],
    exact: int | None = None,
    printed_sd: float | None = None,
) -> tuple[str, str]:
    """Return (verdict, why): comparable only when nothing but chance can tell ours from the printed value.

    ``exact``: chance has no part, as the authors' own maps are scored; equal to so many digits or not. A printed
    spread adds to ours; where ours has none, it decides alone.
    """
    if printed is None:
        return "", NOTHING
    if reasons:
        return NOT_COMPARABLE, "; ".join(reasons)
    if exact is not None:
        return (EQUAL if abs(ours - printed) <= 0.5 * 10**-exact + 1e-9 else DIFFERS), "the maps behind the print"
    if sd is None and printed_sd is None:
        return NOT_COMPARABLE, "one fold and one seed have no spread; set more seeds in config.yaml"
    spread = math.hypot(sd or 0.0, printed_sd or 0.0)
    inside = abs(printed - ours) <= SPREADS * spread
    of = " of ours and the printed" if sd is not None and printed_sd is not None else ""
    return (
        (INSIDE if inside else OUTSIDE),
        f"|difference| {abs(printed - ours):.4f}, {SPREADS:g} sd{of} {SPREADS * spread:.4f}",
    )
