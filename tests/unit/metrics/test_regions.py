"""Regions and their centres: by pencil, and against a brute force that compares every pixel with every other."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from covidseg.metrics.regions import RegionCounts, centres, count_regions

Mask = NDArray[np.bool_]


def drawn(*rows: str) -> Mask:
    return np.array([[c == "#" for c in row] for row in rows])


def labelled(mask: Mask) -> tuple[NDArray[np.int32], int]:
    labels, regions = ndimage.label(mask, np.ones((3,) * mask.ndim))
    return labels, regions


def found(mask: Mask, spacing: tuple[float, ...] | None = None) -> list[list[int]]:
    return centres(*labelled(mask), spacing or (1.0,) * mask.ndim).T.tolist()  # type: ignore[no-any-return]


def brute_force(mask: Mask) -> list[list[int]]:
    """Return for each region the first pixel whose farthest pixel of the region is nearest."""
    labels, regions = labelled(mask)
    out = []
    for region in range(1, regions + 1):
        pixels = np.argwhere(labels == region)
        farthest = [((pixels - pixel) ** 2).sum(1).max() for pixel in pixels]
        out.append(pixels[int(np.argmin(farthest))].tolist())
    return out


def test_the_centre_of_an_l() -> None:
    """From the corner the tips are 3 and 2 away; from the pixel above it 2 and sqrt(5), and no other is nearer."""
    assert found(drawn("#..", "#..", "#..", "###")) == [[2, 0]]


def test_the_centre_of_a_ring_lies_on_it() -> None:
    """The middles of the sides are sqrt(20) from the farthest corners, the others farther; up comes first."""
    assert found(drawn("#####", "#...#", "#...#", "#...#", "#####")) == [[0, 2]]


def test_each_region_has_its_own_and_diagonal_pixels_touch() -> None:
    assert found(drawn("#....", ".#..#", "..#..")) == [[1, 1], [1, 4]]


def test_spacing_decides_the_centre() -> None:
    mask = drawn("###", "#..", "#..")
    assert found(mask) == [[0, 0]]
    assert found(mask, (4.0, 1.0)) == [[1, 0]]  # down it is 8 long, to the right 2


@pytest.mark.parametrize("share", [0.1, 0.3, 0.45, 0.6, 0.9, 1.0])
def test_random_masks_agree_with_the_brute_force(share: float) -> None:
    random = np.random.default_rng(round(100 * share))
    for _ in range(25):
        mask = random.random(random.integers(1, 40, 2)) < share
        assert found(mask) == brute_force(mask)


def test_random_volumes_agree_with_the_brute_force() -> None:
    random = np.random.default_rng(3)
    for _ in range(25):
        mask = random.random(random.integers(1, 9, 3)) < 0.3
        assert found(mask) == brute_force(mask)


def test_large_regions_with_a_hole_agree_with_the_brute_force() -> None:
    y, x = np.mgrid[:300, :40]
    for mask in (y < 290, (y - 150) ** 2 / 49 + (x - 20) ** 2 > 150, (y + x) % 3 < 2, x < y // 8 + 1):
        assert found(mask) == brute_force(mask)


def test_real_masks_agree_with_the_brute_force(shared_data: Path) -> None:
    from PIL import Image

    folder = shared_data / "covid-semiseg/TestingSet/LungInfection-Test/GT"
    paths = sorted(folder.glob("*.png"))[::4]
    assert len(paths) == 12
    for path in paths:
        mask = np.asarray(Image.open(path).convert("L").resize((96, 96), Image.Resampling.NEAREST)) > 128
        assert found(mask) == brute_force(mask)


def test_counts_by_pencil() -> None:
    """Of three predicted regions two have their centre in the truth, both in the same of its two regions."""
    truth = drawn("#####....", "#####....", ".......##")
    mask_ = drawn("##.##...#", ".........", "#........")
    assert count_regions(truth, mask_) == RegionCounts(predicted=4, correct=2, true=2, found=1, covered=0)
    counts = count_regions(truth, drawn("##.##....", "#####....", "#........"))
    assert counts == RegionCounts(predicted=1, correct=1, true=2, found=1, covered=0)
    assert (counts.precision, counts.recall, counts.coverage) == (1.0, 0.5, 0.0)


def test_masks_without_regions() -> None:
    empty, one = np.zeros((5, 6), bool), drawn("#")
    assert count_regions(empty, empty) == RegionCounts(0, 0, 0, 0, 0)
    assert (RegionCounts(0, 0, 0, 0, 0).precision, RegionCounts(0, 0, 0, 0, 0).recall) == (1.0, 1.0)
    assert count_regions(one, one) == RegionCounts(1, 1, 1, 1, 1)
    missed, invented = count_regions(one, ~one), count_regions(~one, one)
    assert (missed.precision, missed.recall) == (0.0, 0.0)
    assert (invented.precision, invented.recall) == (0.0, 1.0)


def test_a_hundred_thousand_specks_stay_within_bounds() -> None:
    specks = np.zeros((640, 640), bool)
    specks[::2, ::2] = True
    tracemalloc.start()
    counts = count_regions(specks, specks)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert counts == RegionCounts(*[102_400] * 5)
    assert peak < 100 << 20
