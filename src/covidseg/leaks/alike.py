"""Which slices look alike: a perceptual hash proposes pairs, the correlation of small pictures confirms them.

A slice is cut to its lungs' box where its data set has lung masks (whole-body slices and released lung crops then show
the same), and shrunk. The hash is 64 bits: which of 9 x 8 mean grey values is brighter than its left neighbour. The
picture is 32 x 32, each pixel freed of the mean and contrast of its surroundings, so that windows, equalisation and
noise matter little and vessels matter most.

Of more than FEW pairs the hash lets too many through: nearly half. Then thumbnails propose pairs instead: 8 x 8 means
of the smoothed pictures, freed of what all slices have in common, compared by one product of matrices. Of the real
pairs below, on which this filter was chosen, none at ALIKE is lost that way and 1 in 1,000 at POSSIBLE, and 1 in 100
pairs of different patients is left to be compared further; other data may lose somewhat more.

The limits were set on the 1,600 unlabelled slices of COVID-SemiSeg, 1,614 of zenodo20-slices and two further volumes,
with and without lung boxes, where all pairs with near hashes were compared. Pairs of different patients (more than
800,000) reach 0.737 at most; whole, uncropped scans of other bodies were seen at 0.79 elsewhere. At ALIKE neither is
accused. Of 1,698 slices in COVID-SemiSeg, 84 % are found at ALIKE with lung boxes and 90 % without (87 and 93 % at
POSSIBLE). Between the two data sets, whose slices were equalised and cropped differently, it is 2 % at ALIKE and 7 % at
POSSIBLE: a found pair is of one patient, and a pair of one patient is often not found.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from covidseg.data.canonical import U8, Store, kept, read_table
from covidseg.schema import Dataset

BITS = 16  # hashes that differ in more bits are not compared further
ALIKE = 0.82  # correlation of near-duplicates
POSSIBLE = 0.73  # from here to ALIKE a pair is named as possible only: different bodies came up to 0.79
WORTH_SAYING = 0.4  # lower correlations are not kept
SIDE, SHIFT = 32, 1  # picture side; pictures are compared at shifts of up to one of its pixels, 3 % of the lungs' width
SURROUNDINGS = 1.5  # sigma in picture pixels
AT_ONCE = 1 << 18  # pairs of hashes in memory: few enough for a processor's cache
FEW = 40_000_000  # pairs of slices that are all compared by their hashes
THUMBNAIL = 8  # its side
THUMBNAILS_ALIKE = 0.55  # correlation of thumbnails below which a pair of many is not compared further
SMOOTH = 1.3  # sigma in picture pixels, before thumbnails are made: a shift by a pixel then matters little
THUMBNAILS_AT_ONCE = 1 << 24  # products in memory
SMALLEST_BOX = 16  # px; a smaller lung box (apex, base) shows too little, the whole slice is taken


class Item(NamedTuple):
    """A slice and whose it is."""

    data: str
    slice: str
    case: str
    patient: str
    role: str  # as the store has it: labelled, train, test, unlabelled


@dataclass(frozen=True)
class Pictures:
    """Slices with their hashes (N,) uint64 and pictures (N, 32, 32) float32."""

    items: list[Item]
    hashes: npt.NDArray[np.uint64]
    pictures: npt.NDArray[np.float32]

    def __add__(self, other: Pictures) -> Pictures:
        return Pictures(
            self.items + other.items,
            np.concatenate([self.hashes, other.hashes]),
            np.concatenate([self.pictures, other.pictures]),
        )

    def of(self, indices: Sequence[int]) -> Pictures:
        """Return some of the slices."""
        if len(indices) == len(self.items) and all(i == k for k, i in enumerate(indices)):
            return self  # pictures of many slices are large
        chosen = np.asarray(indices, int)
        return Pictures([self.items[i] for i in chosen], self.hashes[chosen], self.pictures[chosen])

    def without(self, cases: Collection[str]) -> Pictures:
        """Return the slices of all other cases."""
        if not cases:
            return self  # pictures of many slices are large
        return self.of([i for i, item in enumerate(self.items) if item.case not in cases])


def read(name: str, dataset: Dataset, canonical: Path) -> Pictures:
    """Return the slices of a data set that training or testing may use; one case is in memory at a time."""
    items, hashes, pictures = [], [], []
    with Store(canonical) as store, Store(canonical / "lungs.h5") as masks:
        boxed = masks.file_attrs().get("source") != "none"
        for case, group in groupby(read_table(canonical / "slices.csv"), key=lambda row: row["case"]):
            image, lung = store.image(case), masks.lung(case) if boxed else None
            slices = []
            for row in group:
                if kept(row, dataset):
                    items.append(Item(name, row["slice"], case, row["patient"], row["role"]))
                    at = row["position"]
                    slices.append(_shrunk(image[at], None if lung is None else lung[at]))
            if slices:
                hashes.append(hashes_of(np.stack([first for first, _ in slices])))
                pictures.append(pictures_of(np.stack([second for _, second in slices])))
    return Pictures(items, np.concatenate(hashes), np.concatenate(pictures))


def pairs(a: Pictures, b: Pictures) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32], npt.NDArray[np.float32]]:
    """Return (i, j, correlation) of slices i of ``a`` and j of ``b`` that are proposed and correlate at all.

    Slices of one case are not compared: a split has them on one side. Of more than FEW pairs only those are returned
    that correlate as much as thumbnails have to.
    """
    many = len(a.items) * len(b.items) > FEW
    least = THUMBNAILS_ALIKE if many else WORTH_SAYING
    steps = range(2 * SHIFT + 1)
    core = _unit(a.pictures[:, SHIFT:-SHIFT, SHIFT:-SHIFT])
    side = SIDE - 2 * SHIFT
    found_i, found_j, found_r = [], [], []
    for j, near in enumerate((_near_by_thumbnail if many else _near)(a, b)):
        if not len(near):
            continue
        picture = b.pictures[j]
        shifted = np.stack([picture[y : y + side, x : x + side] for y in steps for x in steps])
        r = (core[near] @ _unit(shifted).T).max(axis=1)
        kept = r >= least
        found_i.append(near[kept].astype(np.int32))
        found_j.append(np.full(kept.sum(), j, np.int32))
        found_r.append(r[kept])
    if not found_i:
        return np.zeros(0, np.int32), np.zeros(0, np.int32), np.zeros(0, np.float32)
    return np.concatenate(found_i), np.concatenate(found_j), np.concatenate(found_r)


def _near(a: Pictures, b: Pictures) -> Iterator[npt.NDArray[np.intp]]:
    """Yield for each slice of ``b`` those of ``a`` in other cases whose hashes agree."""
    case_a, case_b = _cases(a, b)
    block = max(1, AT_ONCE // max(1, len(a.items)))
    for start in range(0, len(b.items), block):
        bits, cases = (array[start : start + block, None] for array in (b.hashes, case_b))
        for agree in (np.bitwise_count(a.hashes ^ bits) <= BITS) & (case_a != cases):
            yield np.flatnonzero(agree)


def _near_by_thumbnail(a: Pictures, b: Pictures) -> Iterator[npt.NDArray[np.intp]]:
    """Yield for each slice of ``b`` those of ``a`` in other cases whose thumbnails agree."""
    case_a, case_b = _cases(a, b)
    small_a, small_b = _thumbnails(a, b)
    block = max(1, THUMBNAILS_AT_ONCE // len(a.items))
    for start in range(0, len(b.items), block):
        rows, near = np.nonzero(small_b[start : start + block] @ small_a.T >= THUMBNAILS_ALIKE)
        rows += start
        others = case_a[near] != case_b[rows]
        rows, near = rows[others], near[others]
        ends = np.searchsorted(rows, np.arange(start, min(start + block, len(b.items)) + 1))
        yield from (near[first:last] for first, last in pairwise(ends.tolist()))


def _thumbnails(a: Pictures, b: Pictures) -> list[npt.NDArray[np.float32]]:
    """Return the pictures of each as (N, 64) means without the mean of all, of length 1."""
    from scipy.ndimage import gaussian_filter

    step = SIDE // THUMBNAIL
    smooth = (gaussian_filter(p.pictures, (0, SMOOTH, SMOOTH)) for p in (a, b))
    small = [_unit(each.reshape(-1, THUMBNAIL, step, THUMBNAIL, step).mean(axis=(2, 4))) for each in smooth]
    common = (small[0].sum(axis=0) + small[1].sum(axis=0)) / (len(small[0]) + len(small[1]))
    own = [each - common for each in small]
    return [each / (np.linalg.norm(each, axis=1, keepdims=True) + 1e-6) for each in own]


def _cases(a: Pictures, b: Pictures) -> list[npt.NDArray[np.int32]]:
    """Return a number for the case of each slice."""
    numbers: dict[tuple[str, str], int] = {}
    return [
        np.array([numbers.setdefault((item.data, item.case), len(numbers)) for item in p.items], np.int32)
        for p in (a, b)
    ]


def hashes_of(small: U8) -> npt.NDArray[np.uint64]:
    """Return the 64-bit difference hashes of (N, 8, 9) grey values."""
    bits = small[:, :, 1:] > small[:, :, :-1]
    return np.packbits(bits.reshape(len(small), 64), axis=1).view(np.uint64)[:, 0]


def pictures_of(small: U8) -> npt.NDArray[np.float32]:
    """Return (N, S, S) grey values without local mean and contrast; flat slices become 0."""
    from scipy.ndimage import gaussian_filter

    x = small.astype(np.float32)
    sigma = (0, SURROUNDINGS, SURROUNDINGS)
    x -= gaussian_filter(x, sigma)
    floor = 1e-3 * small.var(axis=(1, 2), keepdims=True, dtype=np.float32) + 1e-6
    return x / np.sqrt(gaussian_filter(x * x, sigma) + floor)


def _shrunk(image: U8, lung: U8 | None) -> tuple[U8, U8]:
    """Return a slice, cut to its lungs' box, as 8 x 9 and as 32 x 32 mean grey values."""
    from PIL import Image

    if lung is not None and lung.any():
        ys, xs = np.flatnonzero(lung.any(axis=1)), np.flatnonzero(lung.any(axis=0))
        if min(ys[-1] - ys[0], xs[-1] - xs[0]) >= SMALLEST_BOX:
            image = image[ys[0] : ys[-1] + 1, xs[0] : xs[-1] + 1]
    whole = Image.fromarray(np.ascontiguousarray(image))
    sizes = ((9, 8), (SIDE, SIDE))
    first, second = (np.asarray(whole.resize(size, Image.Resampling.BOX)) for size in sizes)
    return first, second


def _unit(pictures: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return (N, H * W) vectors without mean, of length 1; flat ones stay 0."""
    x = pictures.reshape(len(pictures), -1)
    x = x - x.mean(axis=1, keepdims=True)
    x /= np.linalg.norm(x, axis=1, keepdims=True) + 1e-6
    return x
