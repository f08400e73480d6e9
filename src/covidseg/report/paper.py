"""A paper's page: its tables, figures, claims and masks of whole scans."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from covidseg.base import records
from covidseg.plan import Plan
from covidseg.report import claims, masks
from covidseg.report.svg import Mark, forest
from covidseg.tables import rows
from covidseg.tables.page import slug


def page(plan: Plan, name: str, out: Path) -> dict[str, Any]:
    """Return what the page of a paper shows, and copy its figures below ``out``."""
    model = plan.papers[name]
    return {
        "paper": name,
        "head": model.paper,
        "tables": [_table(plan, name, table) for owner, table, _ in plan.targets.tables() if owner == name],
        "figures": [_figure(plan, name, figure, out) for owner, figure, _ in plan.targets.figures() if owner == name],
        "claims": claims.claims(plan, name) if name in plan.targets.claims() else None,
        "masks": [masks.section(plan, one, out) for one in plan.targets.paper_masks(name)],
        "deviations": model.deviations,
    }


def _table(plan: Plan, paper: str, name: str) -> dict[str, Any]:
    table = plan.papers[paper].tables[name]
    path = plan.paths.table(paper, name, "html")
    with records.parsing(path):
        text = records.verified(path, path.with_suffix(".json")).read_text("utf-8")
        text.index("<body>")
    frame = rows.read(plan.paths.table(paper, name, "csv"))
    return {
        "name": name,
        "slug": slug(name),
        "title": table.caption,
        "body": text.split("<body>", 1)[1].rsplit("</body>", 1)[0],
        "column": table.headings[0] if table.scored_by else "",
        "chart": drawn(frame, table.scored_by, table.headings[0], slug(name)) if table.scored_by else "",
        "rows": list(dict.fromkeys(frame.row)),
    }


def drawn(frame: Any, protocol: str, column: str, table: str) -> str:
    """Return a chart of a column of a table: printed as a diamond, ours as a dot with its spread."""
    frame = frame[(frame.protocol == protocol) & (frame.column == column)].reset_index(drop=True)
    frame = frame.astype(object).where(frame.notna(), None)
    marks = []
    for k, (title, ours, sd, printed) in enumerate(
        zip(rows.titles(frame), frame.ours, frame.sd, frame.printed, strict=True), 1
    ):
        low, high = (None, None) if ours is None or sd is None else (ours - sd, ours + sd)
        marks.append(Mark(str(title), ours, low, high, printed, f"#table-{table}-row-{k}"))
    return forest(marks, column)


def _figure(plan: Plan, paper: str, name: str, out: Path) -> dict[str, Any]:
    """Return a figure's caption, and copy its picture."""
    from PIL import Image

    figure, path = plan.papers[paper].figures[name], plan.paths.figure(paper, name, "png")
    file = f"figures/{slug(paper)}-{slug(name)}.png"
    (out / "figures").mkdir(exist_ok=True)
    shutil.copyfile(records.verified(path, path.with_suffix(".json")), out / file)
    with Image.open(out / file) as image:
        width, height = image.size
    words = [part.rstrip(".") + "." for part in figure.words(plan, paper, name)]
    shape = {"width": width // 2, "height": height // 2}  # it has 200 dots an inch
    return {"name": name, "slug": slug(name), "file": file, "lead": figure.caption, "said": words, **shape}
