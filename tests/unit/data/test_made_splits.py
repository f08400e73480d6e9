"""Splits that a rule makes stay as they are: results of users hang on them.

In the order of the sha256 of their names ten scans are j d f c b e h a g i. Fold k tests every fifth of them from the
k-th on, and the first scan of the next fold validates.
"""

from __future__ import annotations

from pathlib import Path

from covidseg.data import splits


def scans(names: str, role: str = "train") -> list[tuple[str, str, str]]:
    return [(name, name, role) for name in names]


def test_five_folds_of_ten_scans(tmp_path: Path) -> None:
    split = splits.make("folds-5", scans("abcdefghij"), tmp_path / "x.csv")
    found = {fold: ["".join(split.cases(fold, role)) for role in splits.ROLES] for fold in split.folds}
    assert found == {
        0: ["abcfghi", "d", "ej"],
        1: ["abcegij", "f", "dh"],
        2: ["bdeghij", "c", "af"],
        3: ["adefhij", "b", "cg"],
        4: ["acdefgh", "j", "bi"],
    }


def test_a_hold_out_of_twelve_and_two(tmp_path: Path) -> None:
    split = splits.make("hold-out", scans("abcdefghijkl") + scans("yz", "test"), tmp_path / "x.csv")
    assert ["".join(split.cases(0, role)) for role in splits.ROLES] == ["abcdefghikl", "j", "yz"]
