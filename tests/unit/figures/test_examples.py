"""Which slices a figure of examples shows."""

from pathlib import Path

import numpy as np
import pytest

from covidseg.base.errors import UserError
from covidseg.base.files import sha256
from covidseg.data import canonical
from covidseg.figures import examples
from covidseg.figures.examples import choose, rule
from covidseg.figures.kinds.examples import ExampleGroup, ExamplesFigure
from covidseg.plan import Plan
from tests.records import write_record
from tests.unit.data.small import dataset

BOTH = ["ggo", "consolidation"]


def line(name: str, ggo: int, consolidation: int) -> dict:
    return {"slice": name, "case": name.split("/")[0], "ggo": ggo, "consolidation": consolidation}


TABLE = [
    line("a/0", 90, 10),  # lesion 100, 90 % GGO
    line("a/1", 5, 5),  # not the largest of a
    line("b/0", 20, 80),  # lesion 100, 20 %
    line("c/0", 60, 60),  # lesion 120, 50 %
    line("d/0", 1, 9),  # lesion 10: below the median of 100
    line("e/0", 500, 0),  # not both classes
]


def test_examples_are_those_whose_classes_are_most_unequal() -> None:
    assert [found["slice"] for found in choose(TABLE, BOTH, 2)] == ["b/0", "a/0"]
    assert [found["slice"] for found in choose(TABLE, BOTH, 3)] == ["b/0", "c/0", "a/0"]
    assert [found["slice"] for found in choose(TABLE, BOTH, 9)] == ["b/0", "c/0", "a/0"]


def test_one_example_of_one_class_is_in_the_middle() -> None:
    # GGO by case: d 1, b 20, c 60, a 90, e 500; from the median up: c, a, e.
    assert [found["slice"] for found in choose(TABLE, ["ggo"], 1)] == ["a/0"]


def test_the_rule_is_said() -> None:
    assert rule(BOTH, 2) == (
        "of each case the slice with the largest lesion that shows ggo and consolidation; of those with at least the "
        "median lesion area, ordered by the share of ggo in the lesion, the first and the last"
    )


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    """Return a plan whose medseg-1 has one slice with GGO (1), consolidation (2) and effusion (3)."""
    plan, known = Plan.load({"data": str(tmp_path), "results": str(tmp_path)}), dataset("medseg-1")
    folder = plan.paths.canonical("medseg-1")
    label = np.array([[[0, 1, 1], [2, 3, 3]]], np.uint8)
    canonical.write([canonical.Case("7", "7", "train", label * 50, label)], known, folder)
    made = {name: sha256(folder / name) for name in ("slices.csv", "slices.h5") if (folder / name).exists()}
    write_record(folder / "import.json", {"sha256": made})
    return plan


def figure(*classes: str) -> ExamplesFigure:
    group = ExampleGroup(label="D", dataset="medseg-1", classes=list(classes))
    return ExamplesFigure(kind="examples", caption="x", groups=[group])


def test_rows_come_from_the_canonical_store(plan: Plan) -> None:
    (row,) = examples.rows(plan, figure(*BOTH))
    assert (row.slice, row.group, row.box) == ("7/000", "D (phantoms)", None)
    assert row.image.tolist() == [[0, 50, 50], [100, 150, 150]]
    ((_, ggo), (_, consolidation)) = row.panels[examples.LESIONS].masks
    assert ggo.tolist() == [[False, True, True], [False, False, False]]
    assert consolidation.tolist() == [[False, False, False], [True, False, False]]
    ((_, infection),) = examples.rows(plan, figure("infection"))[0].panels[examples.LESIONS].masks
    assert infection.tolist() == (ggo | consolidation).tolist()


def test_a_damaged_table_is_refused(plan: Plan) -> None:
    table = plan.paths.canonical("medseg-1") / "slices.csv"
    table.write_text(table.read_text().replace("train", "test"))
    with pytest.raises(UserError, match=r"slices\.csv: damaged \(not what was written\); run covidseg repair"):
        examples.rows(plan, figure("ggo"))
