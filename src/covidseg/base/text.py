"""Text of users, as plain text: one function per target that would take some of it for markup.

Captions, labels of rows and columns, names and notes are text, and nothing in them is a command. HTML is escaped by
``html`` and by the templates, LaTeX by ``latex``, Markdown by ``markdown``. Terminals get a ``console`` that reads no
markup; matplotlib draws with the settings ``MATPLOTLIB``, in which a dollar sign begins no formula, and legends by
``legend``, since matplotlib leaves out labels that begin with an underscore.
"""

from __future__ import annotations

import html as _html
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from rich.console import Console

MATPLOTLIB: dict[str, Any] = {"text.parse_math": False, "text.usetex": False}
NAMED = {
    "\\": "backslash",
    "~": "asciitilde",
    "^": "asciicircum",
    "<": "less",
    ">": "greater",
    "|": "bar",
    "`": "asciigrave",
}
TEX = {
    **{character: f"\\{character}" for character in "&%_#${}"},
    **{character: f"\\text{name}{{}}" for character, name in NAMED.items()},
    **{character: f"{{{character}}}" for character in "[*"},  # after a line's end they would be LaTeX's own
    "±": "$\\pm$",
    "×": "$\\times$",
    "–": "--",
}  # fmt: skip
# Characters that Markdown takes for markup wherever they stand, or in some places; GitHub reads $ as a formula.
MARKDOWN = re.compile(
    r"[\\`*|$~]|<(?=[A-Za-z/!?])"
    r"|(?<![^\W_])_|_(?![^\W_])"  # not inside a word, where it means nothing
    r"|\](?=[(\[:])"  # the end of a link's text
    r"|&(?=#?\w+;)"
    r"|^(?:#|>|[-+=](?=\s|$)|[-=]{2})"
)


def html(text: str) -> str:
    """Return a text as HTML that shows it, also inside an attribute's quotes."""
    return _html.escape(text)


def latex(text: str) -> str:
    """Return a text, on one line, as LaTeX that prints it."""
    line = " ".join(text.split())
    return re.sub("(-)(?=-)|.", lambda found: "-{}" if found[1] else TEX.get(found[0], found[0]), line)


def markdown(text: str) -> str:
    """Return a text, on one line, as Markdown that shows it; it may stand in a table's cell."""
    line = MARKDOWN.sub(lambda found: f"\\{found[0]}", " ".join(text.split()))
    return re.sub(r"^(\d+)(?=[.)](\s|$))", r"\1\\", line)  # would begin a numbered list


def console(file: TextIO | None = None, width: int | None = None) -> Console:
    """Return a terminal that prints text as it is: no markup in brackets, no names of emoji, no colours for numbers."""
    from rich.console import Console

    return Console(file=file, width=width, markup=False, emoji=False, highlight=False)


def legend(drawing: Any, handles: Mapping[str, Any], **options: Any) -> None:
    """Add a legend, label -> what it stands for, to matplotlib's axes or figure; labels may begin with underscores."""
    made = drawing.legend(list(handles.values()), [f" {label}" for label in handles], **options)
    for line, label in zip(made.get_texts(), handles, strict=True):
        line.set_text(label)
