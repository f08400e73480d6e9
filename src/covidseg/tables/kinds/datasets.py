"""Tables that count slices, classes and pixel shares of data sets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from covidseg.schema.base import Finite, Name, Strict
from covidseg.schema.exhibit import Reads, Table

if TYPE_CHECKING:
    from covidseg.plan import Plan
    from covidseg.plan.targets import Targets
    from covidseg.tables.cell import Cell


class DatasetRow(Strict):
    """One row of a table of data sets."""

    label: str
    datasets: list[Name] = Field(min_length=1, description="Data sets that the row adds up.")
    classes: list[str] = Field(min_length=1, description="Classes that the paper uses of them.")
    lesion: str = Field("infection", description="Class or union that makes a slice count.")
    printed: dict[str, Finite | None] = Field({}, description="Column heading -> what the paper printed.")


class DatasetTable(Table):
    """A table that counts slices, classes and pixel shares of data sets."""

    kind: Literal["datasets"]
    columns: dict[str, str] = Field(
        description="Heading -> all, cases, slices (with lesion), classes, lung, or a class."
    )
    rows: list[DatasetRow]
    notes: list[str] = Field([], description="Sentences at the end of the caption.")

    @property
    def datasets(self) -> list[str]:
        """Return the data sets of all rows."""
        return [name for row in self.rows for name in row.datasets]

    @property
    def headings(self) -> list[str]:
        """Return the columns."""
        return list(self.columns)

    @property
    def printed(self) -> list[tuple[str, list[str]]]:
        """Return the columns that each row has a printed number for."""
        return [(row.label, list(row.printed)) for row in self.rows]

    def check(self, targets: Targets, paper: str, where: str) -> None:
        """Check columns, data sets and their classes. Raises UserError."""
        from covidseg.plan.names import check_known

        shares = {"lung", *(key for row in self.rows for key in (row.lesion, *row.classes))}
        check_known(self.columns.values(), {"all", "cases", "slices", "classes", *shares}, f"{where}.columns")
        for row in self.rows:
            for name in row.datasets:
                targets.catalogue.check_classes(name, [row.lesion, *row.classes], f"{where}: classes of {row.label!r}")
        super().check(targets, paper, where)

    def reads(self, targets: Targets, paper: str) -> Reads:
        """Return the data sets with their lung masks."""
        return Reads(lungs=tuple(self.wanted_datasets(targets)))

    def decides(self, targets: Targets, paper: str) -> list[Any]:
        """Return the classes of the data sets and how their slices are cropped."""
        counted = [targets.catalogue.dataset(name) for name in self.wanted_datasets(targets)]
        return [known.model_dump(mode="json", include={"classes", "unions", "crop"}) for known in counted]

    def words(self, plan: Plan, paper: str, name: str) -> list[str]:
        """Return mode, stand-ins, and where lung masks come from."""
        used = {n: plan.catalogue.stands_for(n) for n in self.datasets}
        sources = {n: plan.catalogue.lungs_in_words(n) for n in self.wanted_datasets(plan.targets)}
        return [
            f"Mode {plan.config.mode}" + ", phantom CT, not patients" * (plan.config.mode == "demo"),
            *(f"{new} stands in for {old}." for old, new in used.items() if new != old),
            "Lung masks: " + ", ".join(f"{n} {source}" for n, source in sources.items()) + ".",
            *self.notes,
        ]

    def cells(self, plan: Plan, paper: str) -> list[Cell]:
        """Return what is counted in the canonical store."""
        from covidseg.tables.datasets import dataset_cells

        return dataset_cells(plan, self)

    def origin(self, plan: Plan, cell: Any) -> list[str]:
        """Return the lists of slices in which the number was counted."""
        return [f"counted in {plan.paths.canonical(name)}/slices.csv" for name in cell.run.split(" + ")]
