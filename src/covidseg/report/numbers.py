"""The numbers of all tables in files of their own: for DVC, which compares them between commits, and in Markdown."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd

from covidseg.base import records
from covidseg.base.text import markdown
from covidseg.plan import Plan
from covidseg.tables import rows
from covidseg.tables.page import slug


def metrics(plan: Plan) -> dict[str, Any]:
    """Return paper -> table -> run (``run:class`` where rows share it) -> column -> our value, of tables of scores."""
    out: dict[str, Any] = {}
    for paper, name, table in plan.targets.tables():
        if table.scored_by:
            frame = rows.read(plan.paths.table(paper, name, "csv"))
            own = frame.assign(key=rows.keys(frame))[(frame.protocol == table.scored_by) & frame.ours.notna()]
            for line in own.itertuples():
                where = out.setdefault(paper, {}).setdefault(f"table {name}", {}).setdefault(str(line.key), {})
                where[str(line.column)] = line.ours
    return out


def write_metrics(plan: Plan, out: Path) -> None:
    """Write a file per row, ``PAPER/table-NAME/ROW.json`` of column -> our value: DVC prints a line for each file."""
    out.mkdir()
    for paper, tables in metrics(plan).items():
        for table, found in tables.items():
            folder = out / slug(paper) / slug(table)
            folder.mkdir(parents=True)
            for row, values in found.items():
                text = json.dumps(values, indent=2, sort_keys=True)
                (folder / f"{slug(row.removeprefix(f'{paper}/'))}.json").write_text(text + "\n", "utf-8")


def plots(plan: Plan) -> pd.DataFrame:
    """Return row, printed and ours of every table of scores, in its first column only: others have other units."""
    frames = []
    for paper, name, table in plan.targets.tables():
        if table.scored_by:
            frame = rows.read(plan.paths.table(paper, name, "csv"))
            frame = frame[(frame.protocol == table.scored_by) & (frame.column == table.headings[0])]
            row = f"{paper} {name}: " + rows.titles(frame)
            frames.append(frame.assign(row=row)[["row", "column", "printed", "ours"]])
    return pd.concat(frames) if frames else pd.DataFrame(columns=["row", "column", "printed", "ours"])


def all_tables(plan: Plan) -> str:
    """Return every table in Markdown with its caption, for a repository to show."""
    out = []
    for paper, name, table in plan.targets.tables():
        path = plan.paths.table(paper, name, "md")
        text = records.verified(path, path.with_suffix(".json")).read_text("utf-8")
        out.append(f"## {markdown(f'{paper}, table {name}: {table.caption}')}\n\n{text}")
    return f"# Tables, mode {plan.config.mode}, preset {plan.preset_name}\n\n" + "\n".join(out)
