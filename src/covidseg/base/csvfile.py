"""CSV files: the one place that writes and reads them.

Text is always quoted, and so are the names of the columns; numbers never are, and an empty field is a number that is
missing. So a case named NA, nan, None, null or 1 stays that name. Whoever reads a file says which columns are text.

A spreadsheet runs text that begins like a formula. Such text is written with an apostrophe before it, which reading
takes off again; so is text that itself begins with an apostrophe, so that every text comes back as it was.
"""

from __future__ import annotations

import csv
import io
import math
import numbers
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from covidseg.base import files

if TYPE_CHECKING:
    import pandas as pd

Kind = Callable[[str], type]  # column -> str, int or float
FORMULA = "=+-@\t\r\n＝＋－＠'"  # what text must not begin with: spreadsheets read full-width signs too
_RESTORED = re.compile(f"'(?=[{re.escape(FORMULA)}])")


def write(
    path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, Any]], digits: int | None = None, about: str = ""
) -> None:
    """Write rows, each column -> value; a value that is missing, None or NaN is an empty field.

    ``digits``: decimals of a float; None: as many as it takes to read it back unchanged. ``about``: a first line, as a
    comment.
    """
    text = io.StringIO()
    if about:
        text.write(f"# {' '.join(about.split())}\n")
    text.write(",".join(map(_quoted, columns)) + "\n")
    for row in rows:
        text.write(",".join(_field(row.get(column), digits) for column in columns) + "\n")
    files.write_text(path, text.getvalue())


def parse(lines: Iterable[str], kind: Kind) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield (number of its line, row) of a CSV file's lines: text as it was written, numbers as int (None where empty)
    or float (NaN where empty).

    Raises ValueError for what is no CSV, a row that is longer or shorter than the first, a column that stands twice,
    and a number that is none.
    """
    reader = csv.reader(lines, strict=True)
    try:
        columns = [restored(name) for name in next(reader, [])]
        if doubled := [name for name in columns if columns.count(name) > 1]:
            raise ValueError(f"column {doubled[0]!r} stands twice")
        kinds = [(name, kind(name)) for name in columns]
        for fields in reader:
            if not fields:
                continue
            if len(fields) != len(columns):
                raise ValueError(f"line {reader.line_num}: {len(fields)} fields for {len(columns)} columns")
            row = {name: _value(text, type_) for (name, type_), text in zip(kinds, fields, strict=True)}
            yield reader.line_num, row
    except csv.Error as e:
        raise ValueError(f"line {reader.line_num}: {e}") from e


def read(path: Path, kind: Kind) -> Iterator[dict[str, Any]]:
    """Yield the rows of a file, see ``parse``. Raises OSError, UnicodeDecodeError and ValueError."""
    with opened(path) as f:
        for _, row in parse(f, kind):
            yield row


def header(path: Path) -> list[str]:
    """Return the names of a file's columns. Raises OSError, UnicodeDecodeError and ValueError."""
    with opened(path) as f:
        try:
            return [restored(name) for name in next(csv.reader(f, strict=True), [])]
        except csv.Error as e:
            raise ValueError(str(e)) from e


def opened(path: Path) -> TextIO:
    """Open a CSV file for reading; spreadsheets begin one with a mark, which is left out."""
    return open(path, encoding="utf-8-sig", newline="")


def frame(path: Path, text: Collection[str]) -> pd.DataFrame:
    """Return a file as a data frame: the columns in ``text`` as they were written, all others as numbers.

    Raises ValueError for a number that is none.
    """
    import pandas as pd

    found = pd.read_csv(path, dtype=str, keep_default_na=False, na_filter=False, encoding="utf-8-sig")
    return typed(found.rename(columns=restored), text)


def typed(found: pd.DataFrame, text: Collection[str]) -> pd.DataFrame:
    """Return a frame of fields as they stand in a file with numbers in all columns but those in ``text``."""
    import pandas as pd

    columns = {
        name: column.map(restored) if name in text else pd.to_numeric(column.replace("nan", ""))
        for name, column in found.items()
    }
    return pd.DataFrame(columns, index=found.index)


def write_frame(path: Path, found: pd.DataFrame, digits: int | None = None) -> None:
    """Write a data frame without its index; a missing text is empty."""
    write(path, [str(name) for name in found.columns], found.to_dict("records"), digits)  # type: ignore[arg-type]


def all_text(column: str) -> type:
    """Say of every column that it holds text."""
    return str


def neutral(text: str) -> str:
    """Return a text as it is written, so that no spreadsheet takes it for a formula."""
    return f"'{text}" if text.startswith(tuple(FORMULA)) else text


def restored(text: str) -> str:
    """Invert ``neutral``."""
    return text[1:] if _RESTORED.match(text) else text


def _quoted(text: str) -> str:
    return '"' + neutral(text).replace('"', '""') + '"'


def _field(value: Any, digits: int | None) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, bool) or not isinstance(value, numbers.Number):
        return _quoted(str(value))
    return f"{value:.{digits}f}" if digits is not None and isinstance(value, float) else str(value)


def _value(text: str, type_: type) -> Any:
    if type_ is str:
        return restored(text)
    if type_ is float:
        return float(text or "nan")
    return int(text) if text else None
