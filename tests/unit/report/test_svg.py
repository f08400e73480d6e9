"""Charts: ticks and places worked out by hand."""

import re

import pytest

from covidseg.report.svg import MOST, Mark, Panel, forest, text, thinned, ticks


@pytest.mark.parametrize(
    ("low", "high", "wanted", "whole", "found"),
    [
        (0.0, 1.0, 5, False, [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        (0.11, 0.29, 4, False, [0.1, 0.15, 0.2, 0.25, 0.3]),
        (0, 2, 5, True, [0.0, 1.0, 2.0]),
        (3, 3, 5, True, [3.0, 4.0]),
        (-0.03, 0.07, 5, False, [-0.04, -0.02, 0.0, 0.02, 0.04, 0.06, 0.08]),
    ],
)
def test_ticks_are_round(low: float, high: float, wanted: int, whole: bool, found: list[float]) -> None:
    assert ticks(low, high, wanted, whole) == found


def test_labels_have_the_decimals_that_tell_them_apart() -> None:
    assert [text(value, [0.1, 0.15, 0.2]) for value in (0.1, 0.15)] == ["0.10", "0.15"]
    assert text(100.0, [0.0, 100.0]) == "100"


def test_a_line_reaches_from_corner_to_corner() -> None:
    svg = Panel("loss", "epoch", lines=[(0, [(0, 0.0), (10, 1.0)])]).svg(212, 154)
    # ticks 0.0 to 1.0 of three letters: left 12 + 3 * 6.2 = 30.6; right 10, top 20, bottom 34
    assert 'points="30.6,120 202,20"' in svg
    assert svg.count("<polyline") == 1
    assert Panel("loss").svg() == ""


def test_a_long_line_keeps_its_ends() -> None:
    points = [(float(k), 0.0) for k in range(1000)]
    kept = thinned(points)
    assert (len(kept), kept[0], kept[-1]) == (MOST, points[0], points[-1])


def test_a_forest_plot_has_interval_printed_and_zero() -> None:
    svg = forest(
        [Mark("a < b", 0.5, 0.0, 1.0, -1.0, "#claim-a", "✓"), Mark("b", None, None, None, None)], "x", zero=True
    )
    assert "a &lt; b" in svg
    assert svg.count('class="zero"') == svg.count('class="interval"') == svg.count('class="printed"') == 1
    (x,) = re.findall(r'<circle class="ours" cx="([\d.]+)"', svg)
    low, high = re.findall(r'class="interval" x1="([\d.]+)" x2="([\d.]+)"', svg)[0]
    assert float(x) == pytest.approx((float(low) + float(high)) / 2, abs=0.1)
    assert forest([Mark("b", None, None, None, None)], "x") == ""
