"""Follow-up series: the lesion volume of each scan by patient and day, from a run's masks of whole scans."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from covidseg.base.errors import UserError
from covidseg.data.canonical import read_table
from covidseg.evaluate import volumes
from covidseg.upkeep.freshness import masks_problem

if TYPE_CHECKING:
    from covidseg.plan import Plan


@dataclass(frozen=True)
class Scan:
    """One scan of a series: its lesion volume in ml as predicted and, where there is a truth, as it is."""

    case: str
    patient: str
    day: int
    volume: float | None
    truth: float | None


def series(plan: Plan, masks: str) -> dict[str, list[Scan]]:
    """Return patient -> scans by day, of the masks of this name; both in order. Empty where no scan was found.

    Raises UserError when masks are not today's models', and for a data set whose scans have no days.
    """
    if problem := masks_problem(plan, masks):
        path = plan.paths.masks(masks) / "masks.json"
        raise UserError(f"{path}: {problem}; run covidseg masks {masks} again (or snakemake)")
    dataset = plan.targets.masks_of(masks)[1]
    path = plan.paths.canonical(dataset) / "slices.csv"
    known = {row["case"]: (row["patient"], row.get("day")) for row in read_table(path)}
    found: dict[str, list[Scan]] = {}
    for row in volumes.read(plan.paths.masks(masks)):
        patient, day = known[row["case"]]
        if day is None:
            raise UserError(
                f"{path}: {row['case']} has no day; a series needs scans named NAME_dayNNN (importer series)"
            )
        volume, truth = (None if math.isnan(row[key]) else row[key] for key in ("lesion_ml", "true_lesion_ml"))
        found.setdefault(patient, []).append(Scan(row["case"], patient, int(day), volume, truth))
    return {patient: sorted(found[patient], key=lambda scan: scan.day) for patient in sorted(found)}


def course_of(volumes: list[float | None], expected: str | int) -> str:
    """Return whether a course is as expected: ``falls`` with each scan, or has its peak at scan number ``expected``."""
    known = [value for value in volumes if value is not None]
    if len(known) < max(2, len(volumes)):
        return "no course: a volume is unknown, or there is one scan only"
    if expected == "falls":
        rises = [k for k in range(1, len(known)) if known[k] >= known[k - 1]]
        return f"does not fall at scan {rises[0] + 1}" if rises else "falls"
    peak = 1 + known.index(max(known))
    return f"peaks at scan {peak}" if peak == expected else f"peaks at scan {peak}, not {expected}"
