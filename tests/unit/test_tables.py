"""Tables against numbers worked out by hand."""

import pandas as pd
import pytest

from covidseg.tables.cell import INSIDE, NOT_COMPARABLE, OUTSIDE, Cell, judge
from covidseg.tables.layout import grid, latex, markdown, number
from covidseg.tables.results import _cell

ABOUT = {"row": "(M1) a_b", "run": "p/m1", "cls": "infection", "protocol": "ssanet", "column": "DSC", "digits": 4}


def scores(values: dict[tuple[int, int], list[float]]) -> pd.DataFrame:
    return pd.DataFrame([{"fold": f, "seed": s, "dsc": v} for (f, s), found in values.items() for v in found])


def cell(**changes: object) -> Cell:
    values = scores({(0, 0): [0.5, 0.7], (1, 0): [0.8]})
    return _cell(**(ABOUT | {"values": values, "reasons": [], "printed": 0.6, "metric": "dsc"} | changes))  # type: ignore[arg-type]


def test_ours_is_the_mean_over_slices_and_sd_that_over_folds() -> None:
    found = cell()
    assert found.ours == pytest.approx(2.0 / 3)  # (0.5 + 0.7 + 0.8) / 3
    assert found.sd == pytest.approx(0.2 / 2**0.5)  # fold means 0.6 and 0.8
    assert found.difference == pytest.approx(2.0 / 3 - 0.6)
    assert (found.folds, found.seeds, found.slices) == (2, 1, 3)


def test_seeds_are_averaged_after_slices() -> None:
    found = cell(values=scores({(0, 0): [0.5, 0.7], (0, 1): [0.8, 0.8]}))
    assert found.ours == pytest.approx(0.7)  # seeds 0.6 and 0.8
    assert (found.seeds, found.slices) == (2, 2)


@pytest.mark.parametrize(
    ("printed", "sd", "reasons", "verdict"),
    [
        (0.60, 0.03, [], INSIDE),  # 0.05 away, 2 sd is 0.06
        (0.60, 0.02, [], OUTSIDE),  # 2 sd is 0.04
        (0.60, 0.03, ["a stand-in"], NOT_COMPARABLE),
        (0.60, None, [], NOT_COMPARABLE),
        (None, 0.03, [], ""),
    ],
)
def test_verdict(printed: float | None, sd: float | None, reasons: list[str], verdict: str) -> None:
    assert judge(printed, 0.65, sd, reasons)[0] == verdict


@pytest.mark.parametrize(("value", "text"), [(-0.00001, "0.0000"), (-0.5, "-0.5000"), (None, "–"), (float("nan"), "–")])
def test_numbers(value: float | None, text: str) -> None:
    assert number(value, 4) == text


def test_a_row_without_a_run_shows_what_was_printed() -> None:
    headings, lines = grid([cell(values=None)])
    assert headings == ["", "DSC printed", "DSC ours", "difference", "verdict"]
    assert lines == [["(M1) a_b", "0.6000", "not run", "–", "not run"]]


def test_markdown_and_latex_hold_the_same_numbers() -> None:
    text = markdown("Caption.", [cell()], [])
    assert "| (M1) a_b | 0.6000 | 0.6667 ± 0.1414 | 0.0667 | inside our spread |" in text
    assert text.endswith("\n\nCaption.\n")
    tex = latex("100 % of a_b", "p-3", [cell()])
    assert "(M1) a\\_b & 0.6000 & 0.6667 $\\pm$ 0.1414 & 0.0667 & inside our spread \\\\" in tex
    assert "\\caption{100 \\% of a\\_b}" in tex
