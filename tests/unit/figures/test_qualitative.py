"""Which slices a figure shows, where its box lies, and how a mask is coloured."""

import numpy as np

from covidseg.figures.qualitative import choose, disagreement, overlay
from covidseg.score import Slice


def slice_(name: str, truth: list[int], mask: list[int]) -> Slice:
    return Slice(
        case=name.split("/")[0],
        slice=name,
        position=0,
        cls="infection",
        prob=np.array([mask], np.uint8) * 255,
        truth=np.array([truth], bool),
        spacing=(1.0, 1.0, 1.0),
    )


def test_the_box_is_round_the_largest_disagreement() -> None:
    a = np.zeros((6, 8), bool)
    b = a.copy()
    b[0, 0] = True
    b[2:4, 3:6] = True
    assert disagreement([a, b]) == (2, 3, 4, 6)
    assert disagreement([a, a]) is None


def test_slices_with_small_lesions_are_left_out_and_one_stays_per_case() -> None:
    truths = {"a/0": [1, 1, 0, 0], "a/1": [1, 1, 1, 0], "b/0": [1, 1, 1, 0], "c/0": [1, 0, 0, 0], "d/0": [0, 0, 0, 0]}
    found = {"a/0": [0, 0, 0, 0], "a/1": [1, 0, 0, 0], "b/0": [1, 1, 0, 0], "c/0": [0, 0, 0, 0], "d/0": [0, 0, 0, 0]}
    perfect = {name: [slice_(name, t, t)] for name, t in truths.items()}
    other = {name: [slice_(name, truths[name], m)] for name, m in found.items()}
    # Median lesion 2.5 pixels: a/1 (Dice 1 and 0.5) and b/0 (1 and 0.8) remain; the larger difference comes first.
    assert choose({"x": perfect, "y": other}, 2) == ["a/1", "b/0"]
    assert choose({"x": perfect, "y": other}, 1) == ["a/1"]


def test_overlay_mixes_the_class_colour_into_grey() -> None:
    image = np.full((1, 2), 255, np.uint8)
    rgb = overlay(image, [("ggo", np.array([[True, False]]))], strength=1.0)
    assert rgb[0, 0].tolist() == [0.9, 0.1, 0.1]
    assert rgb[0, 1].tolist() == [1.0, 1.0, 1.0]
