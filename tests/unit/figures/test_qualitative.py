"""Which slices a qualitative figure shows, where its box lies, and what its row says."""

import numpy as np

from covidseg.evaluate.score import Slice
from covidseg.figures.page import TRUTH
from covidseg.figures.qualitative import by_slice, choose, disagreement, row_of, scored


def slice_(name: str, truth: list[int], mask: list[int], cls: str = "infection") -> Slice:
    return Slice(
        case=name.split("/")[0],
        slice=name,
        position=0,
        cls=cls,
        prob=np.array([mask], np.uint8) * 255,
        truth=np.array([truth], bool),
        spacing=(1.0, 1.0, 1.0),
    )


def test_slices_with_small_lesions_are_left_out_and_one_stays_per_case() -> None:
    truths = {"a/0": [1, 1, 0, 0], "a/1": [1, 1, 1, 0], "b/0": [1, 1, 1, 0], "c/0": [1, 0, 0, 0], "d/0": [0, 0, 0, 0]}
    found = {"a/0": [0, 0, 0, 0], "a/1": [1, 0, 0, 0], "b/0": [1, 1, 0, 0], "c/0": [0, 0, 0, 0], "d/0": [0, 0, 0, 0]}
    perfect = scored(slice_(name, t, t) for name, t in truths.items())
    other = scored(slice_(name, truths[name], m) for name, m in found.items())
    # Median lesion 2.5 pixels: a/1 (Dice 1 and 0.5) and b/0 (1 and 0.8) remain; the larger difference comes first.
    assert choose({"x": perfect, "y": other}, 2) == ["a/1", "b/0"]
    assert choose({"x": perfect, "y": other}, 1) == ["a/1"]


def test_without_a_lesion_there_is_nothing_to_choose() -> None:
    assert choose({"x": scored([slice_("a/0", [0, 0], [1, 0])])}, 2) == []


def test_a_slice_counts_all_its_classes() -> None:
    # GGO: 2 of 3 pixels found, Dice 0.8; consolidation is neither there nor found and does not count.
    parts = [slice_("a/0", [1, 1, 1, 0], [1, 1, 0, 0], "ggo"), slice_("a/0", [0] * 4, [0] * 4, "consolidation")]
    found = scored(parts)["a/0"]
    assert (found.case, found.area, found.dice) == ("a", 3, 0.8)
    assert by_slice([*parts, slice_("b/0", [1], [1])], ["a/0"]) == {"a/0": parts}


def test_the_box_is_round_the_largest_disagreement() -> None:
    a = np.zeros((6, 8), bool)
    b = a.copy()
    b[0, 0] = True
    b[2:4, 3:6] = True
    assert disagreement([[("infection", a)], [("infection", b)]]) == (2, 3, 4, 6)
    assert disagreement([[("infection", a)], [("infection", a)]]) is None


def test_methods_disagree_where_they_name_another_class() -> None:
    none, some = np.zeros((3, 4), bool), np.zeros((3, 4), bool)
    some[1, 1:3] = True
    assert disagreement([[("ggo", some), ("con", none)], [("ggo", none), ("con", some)]]) == (1, 1, 2, 3)


def test_a_row_has_each_methods_mask_and_dice_and_the_truth_last() -> None:
    # Probabilities of 128 and above count: 128 / 255 is the first at or above 0.5.
    half = slice_("a/0", [1, 1, 0, 0], [0] * 4)
    half.prob[0] = [128, 127, 0, 0]
    row = row_of("a/0", np.zeros((1, 4), np.uint8), {"M1": [slice_("a/0", [1, 1, 0, 0], [1, 1, 0, 0])], "M2": [half]})
    assert list(row.panels) == ["M1", "M2", TRUTH]
    assert [panel.note for panel in row.panels.values()] == ["Dice 1.00", "Dice 0.67", ""]  # 2 * 1 / (1 + 2)
    assert row.panels["M2"].masks[0][1].tolist() == [[True, False, False, False]]
    assert row.panels[TRUTH].masks[0][1].tolist() == [[True, True, False, False]]
    assert row.box == (0, 1, 1, 2)


def test_an_absent_class_lends_a_panel_nothing() -> None:
    """GGO of two pixels is missed, consolidation is absent and found absent: Dice 0, not half of what nobody misses."""
    missed = [slice_("a/0", [1, 1, 0], [0, 0, 0], "ggo"), slice_("a/0", [0, 0, 0], [0, 0, 0], "consolidation")]
    invented = [slice_("a/0", [1, 1, 0], [1, 1, 0], "ggo"), slice_("a/0", [0, 0, 0], [0, 0, 1], "consolidation")]
    row = row_of("a/0", np.zeros((1, 3), np.uint8), {"missed": missed, "invented": invented, "none": missed[1:]})
    notes = [panel.note for panel in row.panels.values()]
    assert notes == ["Dice 0.00", "Dice 0.50", "nothing there, nothing found", ""]
