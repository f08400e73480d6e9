"""Lesions of the phantom: where ground glass and consolidation lie in a slice, and what they do to the image.

The mask is what a reader would draw, the image is another draw of the same lesion: their edges agree only roughly, as
with real annotations, so that no network reaches a Dice of 1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from covidseg.data.phantom.anatomy import Chest
from covidseg.data.phantom.shapes import F32, field, mix


@dataclass(frozen=True)
class Style:
    """How the lesions of one patient look: blobs (x, y, height, radius), HU ground glass adds, softness of edges."""

    blobs: npt.NDArray[np.float32]
    opacity: float
    soft: float

    @classmethod
    def draw(cls, seed: tuple[int, ...]) -> Style:
        """Draw the lesions of a patient: most lie at the back and at the pleura, in both lungs."""
        rng = np.random.default_rng([*seed, 7])
        count = int(rng.integers(3, 8))
        angle = rng.normal(0.55, 0.6, count)  # 0 is the side, pi/2 the back
        reach = rng.uniform(0.55, 0.98, count)
        x, y = rng.choice([-1, 1], count) * np.cos(angle) * reach, np.sin(angle) * reach
        blobs = np.stack([x, y, rng.uniform(0, 1, count), rng.uniform(0.16, 0.42, count)], 1)
        return cls(blobs.astype(np.float32), float(rng.uniform(150, 330)), float(rng.uniform(0.16, 0.34)))


@dataclass(frozen=True)
class Lesion:
    """Labels of a slice (0 none, 1 ground glass, 2 consolidation) and the coverage 0..1 of both in the image."""

    label: npt.NDArray[np.uint8]
    ggo: F32
    consolidation: F32


def lesion(
    chest: Chest,
    style: Style,
    reach: tuple[float, float],
    height: float,
    pixels: tuple[int, int],
    seed: tuple[int, ...],
) -> Lesion:
    """Place a lesion of exactly ``pixels`` = (ground glass, consolidation) in the lungs of a slice.

    ``reach`` is half the width and depth of the thorax on the grid. Raises nothing: the counts must fit the lungs.
    """
    from scipy import ndimage

    rng = np.random.default_rng([*seed, 8])
    grid, inside = chest.grid, chest.lung > 0.5
    x, y = grid.x / np.float32(reach[0]), grid.y / np.float32(reach[1])
    score = np.full_like(grid.x, -1)
    spread = rng.uniform(0.8, 1.3, len(style.blobs)).astype(np.float32)
    for (bx, by, bz, radius), wider in zip(style.blobs, spread, strict=True):
        far = ((x - bx) ** 2 + (y - by) ** 2) / (radius * wider) ** 2 + np.float32(((height - bz) / 0.32) ** 2)
        score = np.maximum(score, np.exp(-far))
    rough = np.float32(0.20) * field(rng, grid, 0.13) + np.float32(0.06) * field(rng, grid, 0.05)
    pleura = np.clip((chest.around - np.float32(0.62)) * np.float32(2.2), 0, 1)
    score = score + rough + np.float32(0.28) * pleura
    score = ndimage.gaussian_filter(score, len(score) / 160)

    total = sum(pixels)
    infected, cut = _largest(score, inside, total)
    seen = score + np.float32(0.07) * field(rng, grid, 0.11)
    # the reader's outline is round, the opacity itself fades
    ggo = np.clip((seen - cut) / np.float32(style.soft) + np.float32(0.55), 0, 1) * np.clip(3 * chest.lung, 0, 1)
    dense = (
        score
        + np.float32(0.20) * field(rng, grid, 0.11)
        + np.float32(0.13) * field(rng, grid, 0.05)
        + np.float32(0.3) * pleura
    )
    dense = ndimage.gaussian_filter(dense, len(score) / 220)
    core, edge = _largest(dense, infected, pixels[1])
    label = infected.astype(np.uint8) + core
    if not pixels[1]:
        return Lesion(label, ggo, np.zeros_like(ggo))
    seen = dense + np.float32(0.04) * field(rng, grid, 0.07)
    return Lesion(label, ggo, np.clip((seen - edge) / np.float32(0.10) + np.float32(0.5), 0, 1) * ggo)


def paint(image: F32, lesion: Lesion, chest: Chest, style: Style, seed: tuple[int, ...]) -> F32:
    """Return the slice in HU with its lesion: ground glass adds to the tissue, consolidation takes its place."""
    rng = np.random.default_rng([*seed, 9])
    grid = chest.grid
    net = np.clip(0.85 + 0.28 * field(rng, grid, 0.045) + 0.15 * field(rng, grid, 0.12), 0.25, 1.4)
    image = np.where(image < 30, np.minimum(image + np.float32(style.opacity) * lesion.ggo * net, 40), image)
    airy = np.clip(field(rng, grid, 0.035) - np.float32(1.6), 0, 1)  # air left in bronchi
    return mix(image, 18 - 500 * airy + 18 * field(rng, grid, 0.06), lesion.consolidation * np.float32(0.96))


def distract(image: F32, chest: Chest, seed: tuple[int, ...]) -> F32:
    """Return the slice with what is denser but no lesion: mottled perfusion and a faint patch or two."""
    rng = np.random.default_rng([*seed, 10])
    grid = chest.grid
    patch = np.clip(field(rng, grid, 0.2) - np.float32(1.1), 0, 1) * np.float32(75)
    return image + patch * chest.lung * (image < -500)


def _largest(score: F32, inside: npt.NDArray[np.bool_], count: int) -> tuple[npt.NDArray[np.bool_], np.float32]:
    """Return the ``count`` pixels inside with the highest score, and the score at their edge."""
    chosen = np.zeros_like(inside)
    at = np.flatnonzero(inside)
    if not count or not len(at):
        return chosen, np.float32(np.inf)
    order = at[np.argsort(-score.ravel()[at], kind="stable")[:count]]
    chosen.ravel()[order] = True
    return chosen, score.ravel()[order[-1]]
