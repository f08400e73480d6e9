"""Which slices the figure of attention by epoch shows, and examples without lesion."""

from __future__ import annotations

from typing import Any, cast

import numpy as np

from covidseg.data.canonical import Store
from covidseg.figures.attention_stages import choose
from covidseg.figures.examples import rule, without


class Labels:
    """Lesion pixels by case and slice, in place of a store's file."""

    def __init__(self, areas: dict[str, list[int]]) -> None:
        self.areas = areas

    def label(self, case: str) -> np.ndarray:
        return np.stack([np.arange(100).reshape(10, 10) < area for area in self.areas[case]]).astype(np.uint8)


def test_the_largest_lesion_of_each_case_from_the_smallest_to_the_largest() -> None:
    store = cast(Store, Labels({"a": [3, 9], "b": [0, 0], "c": [50], "d": [20, 1]}))
    cases = [("a", 0), ("a", 1), ("b", 0), ("b", 1), ("c", 0), ("d", 0), ("d", 1)]
    lines: dict[int, dict[str, Any]] = {
        10 + k: {"case": case, "position": position} for k, (case, position) in enumerate(cases)
    }
    assert choose(store, lines, (1,), 3) == [11, 15, 14]  # 9 pixels of a, 20 of d, 50 of c
    assert choose(store, lines, (1,), 2) == [11, 14]
    assert choose(store, lines, (2,), 2) == []


def test_examples_without_lesion_come_from_the_case_that_has_most() -> None:
    table = [{"case": "image", "slice": "image/0", "px_x": 0, "x": 0}]
    table += [{"case": "volume", "slice": f"volume/{k}", "px_x": k % 2, "x": k % 2} for k in range(6)]
    table += [{"case": "unlabelled", "slice": "unlabelled/0", "px_x": None, "x": 0}]
    assert [line["slice"] for line in without(table, ["x"], 2)] == ["volume/2", "image/0"]
    assert without(table, ["x"], 0) == []
    assert rule(["x"], 2, 1).startswith("of the cases with most slices without lesion the middle one")
    assert rule(["x"], 2).startswith("of each case the slice with the largest lesion")
