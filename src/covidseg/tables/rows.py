"""The rows of a finished table (its CSV), by name."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from covidseg.base import csvfile, records
from covidseg.base.errors import UserError, nearest

TEXT = ("paper", "table", "row", "run", "class", "protocol", "column", "metric", "verdict", "why", "quartiles")
REQUIRED = ("row", "run", "class", "protocol", "column", "metric", "printed", "ours", "sd", "verdict", "why")


def read(path: Path) -> pd.DataFrame:
    """Return a table's CSV. Raises UserError when it is not what its record names."""
    with records.parsing(path):
        frame = csvfile.frame(records.verified(path, path.with_suffix(".json")), TEXT)
        if missing := [column for column in REQUIRED if column not in frame]:
            raise ValueError(f"no column {missing[0]}")
    return frame


def keys(frame: pd.DataFrame) -> pd.Series:
    """Return each line's run, as ``run:class`` where rows of that run show several classes."""
    return _with_class(frame, "run", ":")


def titles(frame: pd.DataFrame) -> pd.Series:
    """Return each line's label, as ``label, class`` where rows of that label show several classes."""
    return _with_class(frame, "row", ", ")


def _with_class(frame: pd.DataFrame, column: str, between: str) -> pd.Series:
    several = frame.groupby(column)["class"].transform("nunique") > 1
    return frame[column].where(~several, frame[column] + between + frame["class"])


def find(frame: pd.DataFrame, paper: str, name: str, where: Path) -> tuple[str, str]:
    """Return (label, class) of the row of this name: its label or run, with ``:class`` where several rows share it.

    Raises UserError when there is none, or more than one.
    """
    named: dict[str, list[tuple[str, str]]] = {}
    rows = frame[["row", "class", "run"]].drop_duplicates()
    for label, cls, run in rows.itertuples(index=False, name=None):
        for key in dict.fromkeys(filter(None, (label, run, run.removeprefix(f"{paper}/")))):
            named.setdefault(key, []).append((label, cls))
            named.setdefault(f"{key}:{cls}", []).append((label, cls))
    found = named.get(name, [])
    if not found:
        raise UserError(f"{where}: no row {name!r}; {nearest(name, named)}")
    if len(found) > 1:
        labels = {label for label, _ in found}
        exact = (
            [f"{name}:{cls}" for _, cls in found] if len(labels) == 1 else [f"{label}:{cls}" for label, cls in found]
        )
        raise UserError(f"{where}: {len(found)} rows are {name!r}; name one: {', '.join(exact)}")
    return found[0]
