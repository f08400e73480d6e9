"""Tables of lesion volumes over time: patients by row, scans by column, and whether a course is as the paper says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from covidseg.schema.base import Positive, Strict
from covidseg.schema.exhibit import Table
from covidseg.schema.series import OfSeries

if TYPE_CHECKING:
    from covidseg.plan import Plan
    from covidseg.tables.cell import Cell

NOT_FOUND = "scans not found"


class Peak(Strict):
    """A course with its largest volume at one scan."""

    peak: Positive = Field(description="The scan's number, 1 the first.")


class Course(Strict):
    """One patient of the paper, and what it says of the course."""

    label: str
    expect: Literal["falls"] | Peak

    @property
    def expected(self) -> str | int:
        """Return ``falls``, or the number of the scan with the peak."""
        return self.expect if isinstance(self.expect, str) else self.expect.peak


class SeriesTable(OfSeries, Table):
    """Lesion opacification volume (LOV) in ml by patient and scan, with the true one where it is known."""

    kind: Literal["series"]
    patients: list[Course] = Field(min_length=1, description="The data set's patients in order of their names.")
    notes: list[str] = Field([], description="Sentences at the end of the caption.")

    @property
    def headings(self) -> list[str]:
        """Return no columns: nothing is printed in numbers."""
        return []

    def words(self, plan: Plan, paper: str, name: str) -> list[str]:
        """Return what is measured, on which data, mode, preset, and what differs from the paper."""
        from covidseg.plan.names import qualified
        from covidseg.tables.caption import differences

        used = plan.catalogue.stands_for(self.dataset)
        return [
            "LOV: lung opacification volume in ml, voxels of the mask times their size; true LOV: of the labels, where "
            "there are any",
            f"Mode {plan.config.mode}, preset {plan.preset_name}. Scans: {used}",
            *(
                ["Phantoms, whose courses are known: they cannot support what the paper says"]
                * (plan.config.mode == "demo")
            ),
            *differences(plan, [plan.run(qualified(paper, self.run))]),
            *self.notes,
        ]

    def cells(self, plan: Plan, paper: str) -> list[Cell]:
        """Return LOV and true LOV of each patient's scans. Raises UserError when masks are not today's models'."""
        from covidseg.evaluate.series import course_of, series
        from covidseg.plan.names import qualified

        found = list(series(plan, self.masks(plan.targets, paper)).values())
        count = max((len(scans) for scans in found), default=1)
        cells: list[Cell] = []
        for k, patient in enumerate(self.patients):
            scans = found[k] if k < len(found) else []
            days = f" (days {', '.join(str(scan.day) for scan in scans)})" if scans else ""
            lines = {f"{patient.label}, LOV{days}": [scan.volume for scan in scans]}
            if any(scan.truth is not None for scan in scans):
                lines[f"{patient.label}, true LOV"] = [scan.truth for scan in scans]
            for label, volumes in lines.items():
                verdict = course_of(volumes, patient.expected) if scans else NOT_FOUND
                padded = [*volumes, *[None] * (count - len(volumes))]
                cells += [
                    self._cell(label, qualified(paper, self.run), f"Scan {n}", value, verdict)
                    for n, value in enumerate(padded, 1)
                ]
        return cells

    def _cell(self, label: str, run: str, column: str, value: float | None, verdict: str) -> Cell:
        from covidseg.tables.cell import Cell

        return Cell(
            row=label,
            run=run,
            cls="",
            protocol="",
            column=column,
            metric="lesion_ml",
            printed=None,
            ours=value,
            sd=None,
            difference=None,
            verdict=verdict,
            why="",
            folds=0,
            seeds=0,
            slices=0,
            digits=1,
        )

    def origin(self, plan: Plan, cell: Any) -> list[str]:
        """Return the file of volumes in which the number stands."""
        paper = str(cell.run).split("/")[0]
        return [f"measured in {plan.paths.masks(self.masks(plan.targets, paper))}/volumes.csv"]
