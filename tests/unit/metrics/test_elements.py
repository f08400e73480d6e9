"""Boundary lengths and areas: by pencil, and as surface-distance 0.1 has them."""

import math

import numpy as np
import pytest

from covidseg.metrics.elements import element_sizes


def test_contour_lengths_by_pencil() -> None:
    # Pixels 3 high, 4 wide: a lone corner cuts off a diagonal of 2.5; two go straight, along 3 (a column) or 4 (a row).
    sizes = element_sizes((3.0, 4.0))
    assert sizes.tolist() == [0, 2.5, 2.5, 4, 2.5, 3, 5, 2.5, 2.5, 5, 3, 2.5, 4, 2.5, 2.5, 0]


def test_surface_areas_by_pencil() -> None:
    sizes = element_sizes((1.0, 1.0, 1.0))
    assert len(sizes) == 256
    assert (sizes[0], sizes[255]) == (0, 0)
    assert sizes[0b00000001] == pytest.approx(math.sqrt(3) / 8)  # a cut-off corner: triangle with sides sqrt(1/2)
    assert sizes[0b00001111] == pytest.approx(1)  # four corners on one side: a flat unit square
    assert sizes[0b00000011] == pytest.approx(math.sqrt(0.5))  # two corners along an edge: a slanted rectangle


def test_swapping_inside_and_outside_changes_nothing() -> None:
    for spacing in ((0.7, 1.3), (0.7, 1.3, 2.1)):
        sizes = element_sizes(spacing)
        np.testing.assert_allclose(sizes, sizes[::-1], rtol=1e-12)


def test_sums_equal_surface_distance() -> None:
    # google-deepmind/surface-distance 0.1, tables at spacing (0.7, 1.3) and (0.7, 1.3, 2.1)
    assert element_sizes((0.7, 1.3)).sum() == pytest.approx(12.858893836140041, rel=1e-12)
    sizes = element_sizes((0.7, 1.3, 2.1))
    assert sizes.sum() == pytest.approx(439.6977386951819, rel=1e-12)
    # an L of three corners, a twisted chain of four, and its mirror image: polygons that are not flat
    found = [sizes[code] for code in (0b11100000, 0b11011000, 0b10111000)]
    assert found == pytest.approx([2.5767723331962986, 2.7673327281830336, 2.823067771156981], rel=1e-12)
