"""Printed numbers that cannot be: by arithmetic alone, whatever the data were."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from covidseg.schema import Protocol
    from covidseg.tables.kinds.results import Line, ResultTable

ROLES = {"dice": ("dice", "dsc"), "sen": ("sen", "sensitivity", "recall"), "ppv": ("ppv", "precision")}


def impossible(table: ResultTable, protocol: Protocol) -> list[str]:
    """Return a sentence for each printed number of a table that arithmetic rules out.

    An average over classes is the mean of its classes' numbers; the mean Dice is at most the mean of sensitivity and
    precision, as a case's Dice is their harmonic mean. Both hold within the rounding of the printed digits.
    """
    return [*_averages(table), *_dice(table, protocol)]


def _averages(table: ResultTable) -> list[str]:
    rows: dict[str, dict[str | None, Line]] = {}
    for line in table.lines:
        rows.setdefault(line.label, {})[line.cls] = line
    found = []
    for label, lines in rows.items():
        average = lines.get(None)
        classes = [line for cls, line in lines.items() if cls is not None]
        if average is None or len(classes) < 2:
            continue
        for column, printed in average.printed.items():
            values = [line.printed[column] for line in classes if column in line.printed]
            if column not in table.metrics or len(values) < len(classes):
                continue
            mean, unit = sum(values) / len(values), _unit(table, column)
            if abs(printed - mean) <= unit + 1e-9:
                continue
            said = f"{label}: the printed average {column} {_number(printed)} is not the mean of its classes"
            outside = not min(values) - unit <= printed <= max(values) + unit
            found.append(f"{said}, {_number(mean)}" + (", and lies outside all of them" if outside else ""))
    return found


def _dice(table: ResultTable, protocol: Protocol) -> list[str]:
    if protocol.engine != "masks":
        return []  # means over thresholds have no such bound
    columns: dict[str, str] = {}
    for column, key in table.metrics.items():
        measure = protocol.metrics[key].measure or key
        columns |= {role: column for role, names in ROLES.items() if measure in names and role not in columns}
    if len(columns) < len(ROLES):
        return []
    found = []
    for line in table.lines:
        if all(column in line.printed for column in columns.values()):
            dice, sen, ppv = (line.printed[columns[role]] for role in ROLES)
            bound = (sen + ppv) / 2
            unit = max(_unit(table, column) for column in columns.values())
            if dice > bound + unit + 1e-9:
                names = f"({columns['sen']} + {columns['ppv']}) / 2 = {_number(bound)}"
                found.append(f"{line.label}: the printed {columns['dice']} {_number(dice)} is above its bound {names}")
    return found


def _unit(table: ResultTable, column: str) -> float:
    """Return one unit of the last digit that a column prints."""
    values = [line.printed[column] for line in table.lines if column in line.printed]
    return float(10.0 ** min(min(int(Decimal(repr(value)).as_tuple().exponent) for value in values), 0))


def _number(value: float) -> str:
    return f"{value:.6g}"
