"""Differences by hand: a line per slice."""

import pandas as pd


def lines(found: dict[tuple[int, str], list[float]], seed: int = 0) -> pd.DataFrame:
    """Return fold, seed, case and difference from (fold, case) -> the differences of its slices."""
    return pd.DataFrame(
        [
            {
                "fold": fold,
                "seed": seed,
                "case": case,
                "slice": f"{case}/{k}",
                "class": "infection",
                "difference": value,
            }
            for (fold, case), values in found.items()
            for k, value in enumerate(values)
        ]
    )
