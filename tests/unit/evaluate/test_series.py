"""Courses of lesion volumes over time."""

from __future__ import annotations

import pytest

from covidseg.evaluate.series import course_of


@pytest.mark.parametrize(
    ("volumes", "expected", "verdict"),
    [
        ([90, 60, 30, 10], "falls", "falls"),
        ([90, 60, 60, 10], "falls", "does not fall at scan 3"),
        ([10, 60, 30], "falls", "does not fall at scan 2"),
        ([40, 90, 50, 20], 2, "peaks at scan 2"),
        ([90, 40, 50, 20], 2, "peaks at scan 1, not 2"),
        ([90], "falls", "no course: a volume is unknown, or there is one scan only"),
        ([90, None, 20], "falls", "no course: a volume is unknown, or there is one scan only"),
    ],
)
def test_a_course(volumes: list[float | None], expected: str | int, verdict: str) -> None:
    assert course_of(volumes, expected) == verdict
