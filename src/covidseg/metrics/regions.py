"""Connected regions of two masks and their centres, for scores that count regions instead of pixels.

Zhao et al. 2021 (SCOAT-Net), section III.E: a predicted region is correct where its centre lies in the truth. The
centre of a region is its pixel with the smallest greatest distance to the region's edge (eq. 10).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import ConvexHull, QhullError

from covidseg.metrics.surface import bounding_box

Mask = NDArray[np.bool_]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

STEPS = 4  # towards each region's farthest point, to find a good first guess
MANY = 256  # ends from which a region's convex hull is worth its time
PAIRS = 1 << 19  # of a candidate and an end of a run that are compared at once: bounds the memory
CLOSE = 1e-9  # relative; what rounding may do to distances where spacing is no whole number


@dataclass(frozen=True)
class RegionCounts:
    """Regions by prediction and truth; those of several slices add up.

    ``predicted`` N_a; ``correct`` N_p, predicted regions whose centre lies in the truth; ``true`` N_b; ``found`` N_t,
    true regions that hold the centre of a predicted one; ``covered``: true regions whose own centre was predicted.
    """

    predicted: int
    correct: int
    true: int
    found: int
    covered: int

    def __add__(self, other: RegionCounts) -> RegionCounts:
        """Return the counts of both together."""
        return RegionCounts(
            self.predicted + other.predicted,
            self.correct + other.correct,
            self.true + other.true,
            self.found + other.found,
            self.covered + other.covered,
        )

    @property
    def precision(self) -> float:
        """N_p / N_a (RLP, eq. 9); without a predicted region 1 if there is no true one either, else 0."""
        return self.correct / self.predicted if self.predicted else float(not self.true)

    @property
    def recall(self) -> float:
        """N_t / N_b (RLR, eq. 9); 1 without a true region, as none was missed."""
        return self.found / self.true if self.true else 1.0

    @property
    def coverage(self) -> float:
        """The other reading of RLR: true regions whose own centre was predicted; 1 without a true region."""
        return self.covered / self.true if self.true else 1.0


def count_regions(truth: Mask, mask: Mask, spacing: tuple[float, ...] | None = None) -> RegionCounts:
    """Count the regions of two masks of one shape, 2-D or 3-D.

    Pixels that touch at an edge or a corner (8 neighbours, in 3-D 26) are one region. ``spacing``: per axis, 1 each by
    default; it decides which pixel is a region's centre.
    """
    box = bounding_box(truth | mask)
    truth, mask = truth[box], mask[box]
    spacing = spacing or (1.0,) * truth.ndim
    everywhere = np.ones((3,) * truth.ndim, int)
    true_labels, true = ndimage.label(truth, everywhere)
    labels, predicted = ndimage.label(mask, everywhere)
    hit = true_labels[tuple(centres(labels, predicted, spacing))]
    own = mask[tuple(centres(true_labels, true, spacing))]
    return RegionCounts(
        predicted=predicted,
        correct=int(np.count_nonzero(hit)),
        true=true,
        found=len(np.unique(hit[hit > 0])),
        covered=int(np.count_nonzero(own)),
    )


def centres(labels: NDArray[np.integer], regions: int, spacing: tuple[float, ...]) -> Ints:
    """Return the centre of each region, (axes, regions): eq. 10, exact; of several the first in reading order.

    ``labels``: 0 outside, 1..``regions`` inside. A region is taken as its runs of pixels along the last axis; its
    farthest pixel from anywhere ends a run and is a vertex of its convex hull. From a guess whose greatest distance is
    F, all pixels farther than F from a few such ends are ruled out, run by run; what is left is compared with all ends.
    """
    if regions == 0:
        return np.empty((labels.ndim, 0), np.int64)
    runs = _Runs.of(labels)
    ends = _Ends.of(runs, np.array(spacing))
    limit, supports = _guess(runs, ends)
    left, right = _within(runs, ends.step, limit[runs.region], supports[:, :, runs.region])
    length = np.maximum(right - left + 1, 0)
    several = ends.count[runs.region]
    if several @ length > several.sum():
        left, right = _within_all(runs, ends, limit, left, right)
        length = np.maximum(right - left + 1, 0)
    return _best(runs, left, length, ends)


@dataclass(frozen=True)
class _Runs:
    """Runs of pixels along the last axis, by region and then in reading order.

    ``region`` from 0, and ``first``, where each begins; ``row`` (axes - 1, runs): the other coordinates; ``start`` and
    ``stop``: both inside.
    """

    region: Ints
    first: Ints
    row: Ints
    start: Ints
    stop: Ints

    @classmethod
    def of(cls, labels: NDArray[np.integer]) -> _Runs:
        width = labels.shape[-1]
        flat = labels.reshape(-1, width)
        padded = np.zeros((len(flat), width + 1), np.int8)  # so that no run meets the next row's
        np.not_equal(flat, 0, out=padded[:, :-1], casting="unsafe")
        where = np.flatnonzero(np.diff(padded.ravel(), prepend=np.int8(0)))
        row, start = np.divmod(where[::2], width + 1)
        stop = start + (where[1::2] - 1 - where[::2])
        region = flat[row, start].astype(np.int64) - 1
        order = np.argsort(region, kind="stable")
        region = region[order]
        rows = np.stack(np.unravel_index(row[order], labels.shape[:-1]))
        return cls(region, _firsts(region), rows, start[order], stop[order])


@dataclass(frozen=True)
class _Ends:
    """Ends of runs, (axes, ends) in the unit of ``step``, among them each region's farthest from any point.

    ``first`` and ``count``: where each region's begin and how many there are.
    """

    step: Floats
    points: Floats
    region: Ints
    first: Ints
    count: Ints

    @classmethod
    def of(cls, runs: _Runs, step: Floats) -> _Ends:
        """Keep the outer ends of each row; of a region with many of these, its convex hull's vertices."""
        new = np.diff(runs.region, prepend=-1) != 0
        for axis in runs.row:
            new |= np.diff(axis, prepend=-1) != 0
        last = np.append(new[1:], True)
        rows = runs.row[:, new] * step[:-1, None]
        points = np.stack(
            [np.vstack([rows, runs.start[new] * step[-1]]), np.vstack([rows, runs.stop[last] * step[-1]])], 2
        ).reshape(len(step), -1)
        region = np.repeat(runs.region[new], 2)
        first, count = _spans(region)
        keep = np.ones(len(region), bool)
        for at in np.flatnonzero(count > MANY):
            span = slice(first[at], first[at] + count[at])
            try:
                vertices = ConvexHull(points[:, span].T).vertices
            except QhullError:  # all on one line or plane
                continue
            keep[span] = False
            keep[first[at] + vertices] = True
        region = region[keep]
        return cls(step, points[:, keep], region, *_spans(region))

    def farthest(self, points: Floats) -> tuple[Floats, Ints]:
        """Return each region's greatest squared distance from its point (axes, regions), and which end has it."""
        squared = _squared(self.points, points[:, self.region])
        greatest = np.maximum.reduceat(squared, self.first)
        at = np.flatnonzero(squared == greatest[self.region])
        return greatest, at[_firsts(self.region[at])]


def _guess(runs: _Runs, ends: _Ends) -> tuple[Floats, Floats]:
    """Return the greatest squared distance from a pixel near each region's centre, and (steps, axes, regions) far ends.

    Badoiu and Clarkson's steps towards the farthest point lead to the centre of the smallest enclosing circle.
    """
    low, high = (f.reduceat(ends.points, ends.first, axis=1) for f in (np.minimum, np.maximum))
    point, supports = (low + high) / 2, []
    for step in range(2, STEPS + 2):
        _, at = ends.farthest(point)
        supports.append(ends.points[:, at])
        point = point + (supports[-1] - point) / step
    wanted = point[:, runs.region]
    inside = np.clip(np.rint(wanted[-1] / ends.step[-1]).astype(np.int64), runs.start, runs.stop)
    pixels = np.vstack([runs.row, inside]) * ends.step[:, None]
    squared = _squared(pixels, wanted)
    at = np.flatnonzero(squared == np.minimum.reduceat(squared, runs.first)[runs.region])
    return ends.farthest(pixels[:, at[_firsts(runs.region[at])]])[0], np.stack(supports)


def _within(runs: _Runs, step: Floats, limit: Floats, points: Floats) -> tuple[Ints, Ints]:
    """Return the first and last column of each run within the distance of all of its points (points, axes, runs)."""
    left, right = runs.start, runs.stop
    rows = runs.row * step[:-1, None]
    for point in points:
        one, other = _reach(limit, rows, point, step[-1])
        left, right = np.maximum(left, one), np.minimum(right, other)
    return left, right


def _within_all(runs: _Runs, ends: _Ends, limit: Floats, left: Ints, right: Ints) -> tuple[Ints, Ints]:
    """Return first and last column of each run within the distance of all ends of its region, where any are left."""
    left, right = left.copy(), right.copy()
    alive = np.flatnonzero(right >= left)
    for some, run, which, starts in _pairs(ends, runs.region[alive]):
        run = alive[some][run]
        one, other = _reach(
            limit[runs.region[run]], runs.row[:, run] * ends.step[:-1, None], ends.points[:, which], ends.step[-1]
        )
        left[alive[some]] = np.maximum(left[alive[some]], np.maximum.reduceat(one, starts))
        right[alive[some]] = np.minimum(right[alive[some]], np.minimum.reduceat(other, starts))
    return left, right


def _reach(limit: Floats, rows: Floats, point: Floats, step: float) -> tuple[Ints, Ints]:
    """Return the first and last column in ``rows`` within sqrt(limit) of ``point``; the last is -1 where there is none.

    Rounding may let a pixel too many pass, never one too few.
    """
    rest = limit * (1 + CLOSE) - _squared(rows, point[:-1])
    reach = np.sqrt(np.maximum(rest, 0)) / step
    middle = point[-1] / step
    first, last = np.ceil(middle - reach - CLOSE), np.floor(middle + reach + CLOSE)
    return first.astype(np.int64), np.where(rest < 0, -1, last).astype(np.int64)


def _best(runs: _Runs, left: Ints, length: Ints, ends: _Ends) -> Ints:
    """Return the best of each region's candidates, which are ``length`` pixels of each run from ``left`` on."""
    run = np.repeat(np.arange(len(length)), length)
    column = np.arange(len(run)) - np.repeat(np.cumsum(length) - length, length) + left[run]
    candidates = np.vstack([runs.row[:, run], column])
    region = runs.region[run]
    greatest = np.empty(len(run))
    for some, candidate, which, starts in _pairs(ends, region):
        points = candidates[:, some][:, candidate] * ends.step[:, None]
        greatest[some] = np.maximum.reduceat(_squared(ends.points[:, which], points), starts)
    at = np.flatnonzero(greatest == np.minimum.reduceat(greatest, _firsts(region))[region])
    return candidates[:, at[_firsts(region[at])]]


def _pairs(ends: _Ends, region: Ints) -> Iterator[tuple[slice, Ints, Ints, Ints]]:
    """Yield parts of ``region`` (sorted), each entry with all ends of its region, at most about PAIRS at once.

    A part is its slice, then per pair the entry (from 0 in the slice) and the end, then where each entry's pairs begin.
    """
    pairs = np.cumsum(ends.count[region])
    begin = 0
    while begin < len(region):
        done = pairs[begin - 1] if begin else 0
        stop = max(begin + 1, int(np.searchsorted(pairs, done + PAIRS, "right")))
        counts = ends.count[region[begin:stop]]
        starts = np.cumsum(counts) - counts
        entry = np.repeat(np.arange(len(counts)), counts)
        which = np.arange(len(entry)) + (ends.first[region[begin:stop]] - starts)[entry]
        yield slice(begin, stop), entry, which, starts
        begin = stop


def _squared(a: Floats, b: Floats) -> Floats:
    return np.square(a - b).sum(0)  # type: ignore[no-any-return]


def _firsts(region: Ints) -> Ints:
    """Return where each region begins in a sorted list of regions."""
    return np.flatnonzero(np.diff(region, prepend=-1))


def _spans(region: Ints) -> tuple[Ints, Ints]:
    first = _firsts(region)
    return first, np.diff(np.append(first, len(region)))
