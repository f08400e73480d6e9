"""A paper's tables: what it printed beside what we found, with the spread, the difference and a verdict.

The CSV is tidy: one line per row and column. Markdown, LaTeX and HTML lay it out as the paper does.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import pandas as pd

from covidseg.base.files import write_text
from covidseg.plan import STANDARD, Plan
from covidseg.schema import DatasetTable
from covidseg.tables.caption import caption_of
from covidseg.tables.datasets import dataset_cells
from covidseg.tables.layout import html, latex, markdown
from covidseg.tables.results import result_cells


def write(plan: Plan, paper: str, name: str) -> None:
    """Write one table as CSV, Markdown, LaTeX and HTML. Raises UserError for a result of another spec."""
    table = plan.papers[paper].tables[name]
    cells = dataset_cells(plan, table) if isinstance(table, DatasetTable) else result_cells(plan, paper, table)
    frame = pd.DataFrame([asdict(cell) for cell in cells]).rename(columns={"cls": "class"})
    frame.insert(0, "table", name)
    frame.insert(0, "paper", paper)

    def path(suffix: str) -> Path:
        return plan.paths.table(paper, name, suffix)

    caption = caption_of(plan, paper, name)
    main = [cell for cell in cells if cell.protocol != STANDARD or getattr(table, "protocol", "") == STANDARD]
    panel = [cell for cell in cells if cell not in main]
    write_text(path("csv"), frame.drop(columns="digits").to_csv(index=False, float_format="%.6f"))
    write_text(path("md"), markdown(caption, main, panel))
    write_text(path("tex"), latex(caption, f"{paper}-{name}", main))
    write_text(path("html"), html(caption, main, panel))
