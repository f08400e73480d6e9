"""Boundary distances: by pencil, by brute force, and against MedPy and surface-distance."""

import itertools
import math

import numpy as np
import pytest

from covidseg.metrics import surface


def mask(*rows: str) -> np.ndarray:
    return np.array([[c == "#" for c in row] for row in rows])


EMPTY = mask("....", "....", "....")
A = mask("#...", "....", "....")
BELOW = mask("....", "#...", "....")


def test_two_pixels_2_mm_apart() -> None:
    # Rows 2 mm apart, columns 1 mm.
    border = surface.border_distances(A, BELOW, (2.0, 1.0))
    assert (border.truth.tolist(), border.pred.tolist()) == ([2.0], [2.0])
    # Contours meet along one side: half of each lies on the other, half 2 mm away.
    contour = surface.contour_distances(A, BELOW, (2.0, 1.0))
    assert sorted(contour.truth.tolist()) == [0, 0, 2, 2]
    assert contour.truth_size.tolist() == [math.sqrt(5) / 2] * 4
    assert surface.robust_hausdorff(contour, worst=99) == 2.0
    assert surface.surface_dice(contour, 1.0) == 0.5
    assert surface.surface_dice(contour, 2.0) == 1.0


def test_lengths_scale_with_the_spacing() -> None:
    far = mask("....", "....", "...#")
    assert surface.border_distances(A, far, (1.0, 1.0)).truth.tolist() == [math.sqrt(13)]
    assert surface.border_distances(A, far, (2.0, 1.0)).truth.tolist() == [5.0]


@pytest.mark.parametrize("distances", [surface.contour_distances, surface.border_distances])
def test_empty_masks(distances) -> None:
    both = distances(EMPTY, EMPTY, (1.0, 1.0))
    assert surface.robust_hausdorff(both, worst=99) == surface.pooled_hausdorff(both, worst=99) == 0
    assert surface.surface_dice(both, 3) == surface.mean_surface_overlap(both, 3) == 1
    for one in (distances(A, EMPTY, (1.0, 1.0)), distances(EMPTY, A, (1.0, 1.0))):
        assert surface.robust_hausdorff(one, worst=99) == surface.pooled_hausdorff(one, worst=99) == 99
        assert surface.surface_dice(one, 3) == surface.mean_surface_overlap(one, 3) == 0


def test_diagonal_of_the_image() -> None:
    assert surface.diagonal((3, 4), (1.0, 1.0)) == 5.0
    assert surface.diagonal((2, 3, 4), (6.0, 1.0, 1.0)) == 13.0


def test_border_pixels_touch_the_outside_across_an_edge() -> None:
    block = np.pad(mask("#####", "#####", "#####", "####."), 1)
    assert surface.border(block).tolist() == mask("#####", "#...#", "#...#", "####.").tolist()
    # The pixel up and left of the missing corner touches it only across a corner.


def test_a_tolerance_of_three_steps_includes_three_steps() -> None:
    far = mask("...#", "....", "....")
    d = surface.border_distances(A, far, (0.1, 0.1))
    assert d.truth.tolist() == [math.sqrt((3 * 0.1) ** 2)]


def test_percentiles() -> None:
    # 20 distances 0..19 of equal weight: the 19th reaches 95 %.
    d = surface.Distances(np.arange(20.0), np.zeros(1), np.ones(20), np.ones(1))
    assert surface.robust_hausdorff(d, 0) == 18.0
    # MedPy pools both lists and interpolates: 0, 0, 1, ..., 19, position 0.95 * 20 = 19 -> 18.
    assert surface.pooled_hausdorff(d, 0) == 18.0
    heavy = surface.Distances(np.array([1.0, 9.0]), np.zeros(1), np.array([94.0, 6.0]), np.ones(1))
    assert surface.robust_hausdorff(heavy, 0) == 9.0
    light = surface.Distances(np.array([1.0, 9.0]), np.zeros(1), np.array([96.0, 4.0]), np.ones(1))
    assert surface.robust_hausdorff(light, 0) == 1.0


def test_the_two_surface_dice_weigh_the_sides_differently() -> None:
    # 8 of 10 near on one side, 0 of 1 on the other: pooled 8/11, mean of shares 0.4.
    d = surface.Distances(np.array([1.0] * 8 + [7.0] * 2), np.array([7.0]), np.ones(10), np.ones(1))
    assert surface.surface_dice(d, 3) == pytest.approx(8 / 11)
    assert surface.mean_surface_overlap(d, 3) == pytest.approx(0.4)


def brute_contour(m: np.ndarray) -> np.ndarray:
    """Return the corners between pixels whose neighbours differ, by looking at each."""
    m = np.pad(m, 1)
    found = []
    for at in itertools.product(*(range(n - 1) for n in m.shape)):
        near = m[tuple(slice(k, k + 2) for k in at)]
        if near.any() and not near.all():
            found.append(at)
    return np.array(found)


@pytest.mark.parametrize(("shape", "spacing"), [((9, 13), (0.7, 1.1)), ((5, 6, 7), (5.0, 0.7, 0.7))])
def test_distances_equal_brute_force(shape, spacing) -> None:
    rng = np.random.default_rng(0)
    for share in (0.1, 0.4, 0.8):
        a, b = rng.random(shape) < share, rng.random(shape) < share
        d = surface.contour_distances(a, b, spacing)
        p, q = brute_contour(a), brute_contour(b)
        table = np.sqrt((((p[:, None] - q[None]) * np.array(spacing)) ** 2).sum(axis=2))
        np.testing.assert_allclose(d.truth, table.min(axis=1), rtol=1e-14)
        np.testing.assert_allclose(d.pred, table.min(axis=0), rtol=1e-14)


def test_a_crop_changes_nothing() -> None:
    rng = np.random.default_rng(1)
    a, b = rng.random((2, 8, 9)) < 0.5
    near = surface.contour_distances(a, b, (1.0, 2.0))
    far = surface.contour_distances(np.pad(a, ((40, 3), (0, 50))), np.pad(b, ((40, 3), (0, 50))), (1.0, 2.0))
    assert near.truth.tolist() == far.truth.tolist()
    assert near.pred_size.tolist() == far.pred_size.tolist()


def discs() -> tuple[np.ndarray, np.ndarray]:
    y, x = np.mgrid[:48, :64]
    truth = ((y - 20) ** 2 + (x - 24) ** 2 <= 144) | ((y - 38) ** 2 + (x - 52) ** 2 <= 16)
    return truth, (y - 22) ** 2 + (x - 28) ** 2 <= 127


def balls() -> tuple[np.ndarray, np.ndarray]:
    z, y, x = np.mgrid[:10, :24, :30]
    return (
        (z - 4) ** 2 * 9 + (y - 11) ** 2 + (x - 13) ** 2 <= 81,
        (z - 5) ** 2 * 9 + (y - 12) ** 2 + (x - 15) ** 2 <= 64,
    )


def test_values_of_surface_distance() -> None:
    # google-deepmind/surface-distance 0.1: compute_robust_hausdorff(95), compute_surface_dice_at_tolerance
    d = surface.contour_distances(*discs(), (0.8, 0.6))
    assert surface.robust_hausdorff(d, 0) == pytest.approx(13.926952286842948, rel=1e-14)
    assert surface.surface_dice(d, 3.0) == pytest.approx(0.8084112149532711, rel=1e-14)
    assert surface.surface_dice(d, 1.0) == pytest.approx(0.2375389408099689, rel=1e-14)
    d = surface.contour_distances(*balls(), (5.0, 0.8, 0.7))
    assert surface.robust_hausdorff(d, 0) == pytest.approx(5.063595560468865, rel=1e-14)
    assert surface.surface_dice(d, 1.0) == pytest.approx(0.5341163219701881, rel=1e-14)
    assert d.truth_size.sum() == pytest.approx(1190.1294036923887, rel=1e-14)


def test_values_of_medpy() -> None:
    # MedPy 0.5.2, metric.binary.hd95
    assert surface.pooled_hausdorff(surface.border_distances(*discs(), (0.8, 0.6)), 0) == pytest.approx(
        12.891349371908815, rel=1e-14
    )
    pixels = surface.border_distances(*discs(), (1.0, 1.0))
    assert surface.pooled_hausdorff(pixels, 0) == pytest.approx(19.21582242860206, rel=1e-14)
    d = surface.border_distances(*balls(), (5.0, 0.8, 0.7))
    assert surface.pooled_hausdorff(d, 0) == pytest.approx(5.063595560468865, rel=1e-14)
    # and the mean share within 3 (1) pixels of its surface distances
    assert surface.mean_surface_overlap(pixels, 3) == pytest.approx(0.4857142857142857, rel=1e-14)
    assert surface.mean_surface_overlap(pixels, 1) == pytest.approx(0.1654761904761905, rel=1e-14)
