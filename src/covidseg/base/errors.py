"""The one exception whose message is meant for the person at the terminal."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence

LONGEST = 1000  # characters of a message
INTERRUPTED = "covidseg: interrupted; run the same command again to continue"  # the last line after Ctrl-C


class UserError(Exception):
    """Bad input: one line that names the file or key and the remedy. The command line prints it and exits with 2.

    Whatever a message quotes, it stays one line of bounded length, without control characters and passwords.
    """

    def __init__(self, message: str) -> None:
        line = " ".join(redacted(message).split())
        line = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in line)
        super().__init__(line if len(line) <= LONGEST else f"{line[: LONGEST // 2]} ... {line[-LONGEST // 2 :]}")


def redacted(text: str) -> str:
    """Return a text without the user names and passwords of its addresses."""
    return re.sub(r"(:/+)[^/\s]*@", r"\1***@", text)


def nearest(name: str, legal: Iterable[str]) -> str:
    """Return the tail of a message about an unknown name: the nearest legal name, or all of them."""
    names = sorted(legal)
    close = difflib.get_close_matches(name, names, n=1)
    return f"did you mean {close[0]!r}?" if close else f"legal: {', '.join(names) or 'none'}"


def some(names: Sequence[str], most: int = 3) -> str:
    """Return the first names, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
