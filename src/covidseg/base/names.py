"""What may be a name. One rule for all, so that a name works wherever it goes: file, folder, CSV, figure, page.

A name has 1 to 100 bytes: a mask is named after its scan and its class, and a file's name ends at 255. It begins with a
letter or a digit. What stands in YAML (papers, runs, tables, figures, data sets, classes, protocols, presets, splits)
becomes part of commands too, and has letters of ASCII, digits, dot, dash and underscore. A case is named after a user's
file: it has letters and digits of any script, and besides these also blanks, parentheses and plus signs inside.
"""

from __future__ import annotations

import unicodedata

from covidseg.base.errors import UserError

LONGEST = 100  # bytes
PLAIN = rf"[A-Za-z0-9][A-Za-z0-9._-]{{0,{LONGEST - 1}}}"  # a name in YAML, as a regular expression
INSIDE = " ._-+()"  # of a case's name, besides letters and digits
IN_WORDS = f"1 to {LONGEST} bytes of letters, digits, blanks and {' '.join(INSIDE.strip())}, a letter or digit first"


def problem(case: str) -> str | None:
    """Return why a text cannot name a case; None where it can."""
    if not case.strip():
        return "it is empty"
    if len(case.encode("utf-8", "surrogatepass")) > LONGEST:
        return f"it is longer than {LONGEST} bytes, and files are named after it"
    if not _letter(case[0]):
        return f"it begins with {case[0]!r}, not with a letter or digit"
    if wrong := next((c for c in case if not _letter(c) and c not in INSIDE), None):
        return f"it holds {wrong!r}"
    return "it ends with a blank or a dot" if case[-1] in " ." else None


def check(case: str, where: str) -> str:
    """Return a case's name. Raises UserError, which begins with ``where``, when it cannot be one."""
    if why := problem(case):
        shown = case if len(case) <= 40 else f"{case[:40]}..."
        raise UserError(f"{where}: {shown!r} cannot name a case: {why}; rename the file ({IN_WORDS})")
    return case


def _letter(character: str) -> bool:
    """Return whether a character is a letter, a mark on one, or a digit, of any script."""
    return unicodedata.category(character)[0] in "LMN"
