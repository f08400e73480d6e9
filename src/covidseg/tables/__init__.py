"""A paper's tables: what it printed beside what we found, with the spread, the difference and a verdict.

The CSV is tidy: one line per row and column. Markdown, LaTeX and HTML lay it out as the paper does. What a table shows
is its kind's business, see ``tables/kinds``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from covidseg.plan import Plan


def write(plan: Plan, paper: str, name: str) -> None:
    """Write one table as CSV, Markdown, LaTeX and HTML. Raises UserError for a result of another spec."""
    from dataclasses import asdict

    import pandas as pd

    from covidseg.base import csvfile, records
    from covidseg.base.files import write_text
    from covidseg.plan.names import STANDARD
    from covidseg.tables.caption import sentences
    from covidseg.tables.layout import latex, markdown
    from covidseg.tables.page import html

    table = plan.papers[paper].tables[name]
    cells = table.cells(plan, paper)
    frame = pd.DataFrame([asdict(cell) for cell in cells]).rename(columns={"cls": "class"})
    frame.insert(0, "table", name)
    frame.insert(0, "paper", paper)

    def path(suffix: str) -> Path:
        return plan.paths.table(paper, name, suffix)

    said = sentences(plan, paper, name)
    caption = " ".join(said)
    main = [cell for cell in cells if cell.protocol != STANDARD or table.scored_by == STANDARD]
    panel = [cell for cell in cells if cell not in main]
    csvfile.write_frame(path("csv"), frame.drop(columns="digits"), digits=6)
    write_text(path("md"), markdown(caption, main, panel))
    write_text(path("tex"), latex(caption, f"{paper}-{name}", main))
    write_text(path("html"), html(name, said, main, panel))
    made = map(path, ("csv", "md", "tex", "html"))
    records.write(path("json"), made, paper=paper, table=name, preset=plan.preset_name)
