"""The report's part on masks of whole scans: volumes as a table and a chart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from covidseg.base import records
from covidseg.base.errors import UserError
from covidseg.base.text import html
from covidseg.evaluate import volumes
from covidseg.plan import Plan
from covidseg.report.scans import montage
from covidseg.report.svg import Panel
from covidseg.tables.caption import differences, leak_finding
from covidseg.tables.page import slug
from covidseg.upkeep.freshness import masks_problem

SHOWN = 30  # scans in the table; volumes.csv has all
LESION = "lesion_ml"
HEADINGS = {
    "case": "scan",
    "role": "role",
    "slices": "slices",
    "models": "models",
    "lesion_ml": "lesion, ml",
    "true_lesion_ml": "true lesion, ml",
    "lung_ml": "lung, ml",
    "lesion_in_lung_percent": "lesion in lung, %",
    "empty_because": "empty because",
}


def section(plan: Plan, masks: str, out: Path) -> dict[str, Any]:
    """Return run, table, charts, montage (written below ``out``) and caption of a run's masks.

    Raises UserError when they are not today's models'.
    """
    (run, dataset), folder = plan.targets.masks_of(masks), plan.paths.masks(masks)
    if problem := masks_problem(plan, masks):
        raise UserError(f"{folder / 'masks.json'}: {problem}; {records.REPAIR}")
    frame = pd.DataFrame(lines) if (lines := volumes.read(folder)) else pd.DataFrame(columns=list(HEADINGS))
    left_out = records.read(folder / "masks.json").get("left_out", [])
    blind = f"; {len(left_out)} on which all models trained have none" if left_out else ""
    rest = f" The first {SHOWN} scans; volumes.csv has all." if len(frame) > SHOWN else ""
    caption = (
        f"{len(frame)} scans of {dataset}{blind}. Each mask is from the mean probability of the models that "
        f"did not train or validate on the scan, split {run.spec.split}. Volumes: voxels times spacing. "
        f"{_about_lesions(plan.catalogue.lungs(dataset)) if LESION in frame else ''}Chart: each scan's "
        f"{measured(frame)[0]}; where there are labels, predicted minus true over their mean, with mean and 1.96 "
        f"standard deviations. Masks and volumes.csv: {folder}.{rest} Mode {plan.config.mode}, preset "
        f"{plan.preset_name}. {' '.join(differences(plan, [run]))} "
        f"{leak_finding(plan, run.spec.dataset, run.spec.split)}"
    )
    files, pictured = montage(plan, masks, out)
    return {
        "run": masks,
        "slug": slug(masks),
        "table": _table(frame.head(SHOWN)),
        "charts": charts(frame),
        "montage": files,
        "pictured": pictured,
        "caption": caption,
    }


def _about_lesions(lungs: str) -> str:
    return f"Lesion in lung: lesion voxels inside the lungs by lung voxels. Lung masks: {lungs}. "


def measured(frame: pd.DataFrame) -> tuple[str, pd.Series, pd.Series]:
    """Return what the masks show in a word, and each scan's predicted and true volume in ml: of all lesions, or, where
    no class is one, of all classes together.
    """
    if LESION in frame:
        return "lesion", frame[LESION], frame[f"true_{LESION}"]
    names = _classes(frame)
    columns = ([f"{start}{name}" for name in names] for start in ("ml_", "true_ml_"))
    found, true = (frame[each].sum(axis=1, skipna=False) for each in columns)
    return " and ".join(names), found, true


def _classes(frame: pd.DataFrame) -> list[str]:
    return [column.removeprefix("ml_") for column in frame.columns if column.startswith("ml_")]


def _table(frame: pd.DataFrame) -> str:
    own = {f"ml_{name}": f"{name}, ml" for name in _classes(frame)}
    if LESION in frame:
        columns = HEADINGS | (own if len(own) > 1 else {})
    else:
        true = {f"true_{column}": f"true {title}" for column, title in own.items()}
        columns = {column: title for column, title in HEADINGS.items() if column in frame} | own | true
    head = "".join(f"<th>{html(name)}</th>" for name in columns.values())
    lines = ["".join(f"<td>{_cell(row[column])}</td>" for column in columns) for row in frame.to_dict("records")]
    body = "".join(f"<tr>{line}</tr>" for line in lines)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return "–" if pd.isna(value) else f"{value:.1f}"
    return html(str(value))


def charts(frame: pd.DataFrame) -> list[str]:
    """Return charts: volumes in ascending order, and where truth exists predicted against true (Bland-Altman:
    difference over mean, with the mean difference and 1.96 standard deviations). None without volumes."""
    what, found, true = measured(frame)
    known, both = found.dropna(), found.notna() & true.notna()
    volumes = [(float(k), float(value)) for k, value in enumerate(known.sort_values(), 1)]
    panels = [Panel(f"{what}, ml", "scans by predicted volume", bars=[(0, volumes)], whole=True)]
    found, true = found[both], true[both]
    if len(found):
        mean, gap = (found + true) / 2, found - true
        spread = 1.96 * gap.std(ddof=1) if len(gap) > 1 else 0.0
        shifts = (("mean", 0.0), ("spread", -spread), ("spread", spread))
        levels = [(name, float(gap.mean() + shift)) for name, shift in shifts]
        dots = list(zip(map(float, mean), map(float, gap), strict=True))
        title, below = "predicted minus true, ml", "mean of predicted and true, ml"
        panels.append(Panel(title, below, dots=[(0, dots)], levels=levels))
    return [panel.svg(380, 230) for panel in panels] if volumes else []
