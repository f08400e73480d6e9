"""The one exception whose message is meant for the person at the terminal."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """Bad input: one line that names the file or key and the remedy. The command line prints it and exits with 2."""


def nearest(name: str, legal: Iterable[str]) -> str:
    """Return the tail of a message about an unknown name: the nearest legal name, or all of them."""
    names = sorted(legal)
    close = difflib.get_close_matches(name, names, n=1)
    return f"did you mean {close[0]!r}?" if close else f"legal: {', '.join(names) or 'none'}"
