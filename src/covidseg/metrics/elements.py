"""How much boundary lies in a 2x2 (2x2x2) neighbourhood of pixels: marching squares and marching cubes.

The boundary runs through the middles of the edges between unlike corners. Where a face could be joined in two ways the
rarer kind of corner is kept apart, and a polygon that is not flat is cut into the fan of triangles with the largest
area at unit spacing. With these two rules the lengths and areas equal those of DeepMind's surface-distance.
"""

from __future__ import annotations

import functools
import itertools

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Point = tuple[float, ...]


def element_sizes(spacing: tuple[float, ...]) -> Floats:
    """Return the length (2-D, 16 entries) or area (3-D, 256 entries) of the boundary for every neighbourhood code.

    Corner k of ``itertools.product((0, 1), repeat=dims)`` is bit k of the code; ``spacing`` is per axis.
    """
    vectors = boundary_vectors(len(spacing))
    step = np.asarray(spacing)
    # A segment stretches with its own axis, an area vector with the two others.
    scale = step if len(spacing) == 2 else np.prod(step) / step
    return np.linalg.norm(vectors * scale, axis=2).sum(axis=1)  # type: ignore[no-any-return]


@functools.cache
def boundary_vectors(dims: int) -> Floats:
    """Return (codes, pieces, dims): segments in 2-D, area vectors of triangles in 3-D, at unit spacing, zero-padded."""
    pieces = [_segments_2d(code) if dims == 2 else _triangles(code) for code in range(2 ** (2**dims))]
    table = np.zeros((len(pieces), max(map(len, pieces)), dims))
    for row, found in zip(table, pieces, strict=True):
        row[: len(found)] = np.asarray(found).reshape(-1, dims)
    return table


def _face(ring: list[Point], inside: list[bool], apart: bool) -> list[tuple[Point, Point]]:
    """Return the segments on a square face; ``ring`` goes round its corners, ``apart`` is the kind kept apart."""
    middle = [
        tuple((a + b) / 2 for a, b in zip(p, q, strict=True)) for p, q in zip(ring, ring[1:] + ring[:1], strict=True)
    ]
    cut = [k for k in range(4) if inside[k] != inside[(k + 1) % 4]]
    if len(cut) == 4:
        return [(middle[k - 1], middle[k]) for k in range(4) if inside[k] == apart]
    return [(middle[cut[0]], middle[cut[1]])] if cut else []


def _segments_2d(code: int) -> list[Floats]:
    inside = [bool(code >> k & 1) for k in (0, 1, 3, 2)]
    ring: list[Point] = [(0.0, 0.0), (0.0, 1.0), (1.0, 1.0), (1.0, 0.0)]
    return [np.subtract(a, b) for a, b in _face(ring, inside, True)]


def _triangles(code: int) -> list[Floats]:
    corners = list(itertools.product((0.0, 1.0), repeat=3))
    inside = {corner: bool(code >> k & 1) for k, corner in enumerate(corners)}
    apart = sum(inside.values()) <= 4
    segments = []
    for axis, side in itertools.product(range(3), (0.0, 1.0)):
        flat = ((0.0, 0.0), (0.0, 1.0), (1.0, 1.0), (1.0, 0.0))
        ring = [(*p[:axis], side, *p[axis:]) for p in flat]
        segments += _face(ring, [inside[p] for p in ring], apart)
    return [triangle for loop in _loops(segments) for triangle in _largest_fan(loop)]


def _loops(segments: list[tuple[Point, Point]]) -> list[list[Point]]:
    """Join segments to closed polygons; every point ends two of them."""
    rest, loops = list(segments), []
    while rest:
        loop = list(rest.pop())
        while loop[0] != loop[-1]:
            nearby = next(s for s in rest if loop[-1] in s)
            rest.remove(nearby)
            loop.append(nearby[1] if nearby[0] == loop[-1] else nearby[0])
        loops.append(loop[:-1])
    return loops


def _largest_fan(loop: list[Point]) -> list[Floats]:
    fans = []
    for k in range(len(loop)):
        first, *others = (np.array(p) for p in loop[k:] + loop[:k])
        fans.append([np.cross(a - first, b - first) / 2 for a, b in itertools.pairwise(others)])
    return max(fans, key=lambda fan: round(sum(float(np.linalg.norm(v)) for v in fan), 9))
