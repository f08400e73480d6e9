"""Building blocks of the phantom: soft shapes on a grid, smooth random fields, branching vessels."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

F32 = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Grid:
    """Pixel centres of a square slice: x to the patient's left, y to the back, 1 is half the cropped field of view."""

    x: F32
    y: F32
    pixel: float

    @classmethod
    def square(cls, pixels: int, extent: float) -> Grid:
        """Return a grid of ``pixels`` x ``pixels`` that covers -extent..extent."""
        at = ((np.arange(pixels, dtype=np.float32) + 0.5) * (2 / pixels) - 1) * np.float32(extent)
        x, y = np.meshgrid(at, at)
        return cls(x, y, 2 * extent / pixels)

    def soft(self, inside: F32) -> F32:
        """Return the coverage 0..1 of pixels from a distance that is positive inside."""
        return np.clip(inside * np.float32(1 / self.pixel) + np.float32(0.5), 0, 1)

    def ellipse(self, cx: float, cy: float, a: float, b: float, angle: float = 0.0, power: float = 2.0) -> F32:
        """Return about the distance to an ellipse's edge, positive inside; ``power`` above 2 makes it boxier."""
        cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
        dx, dy = self.x - np.float32(cx), self.y - np.float32(cy)
        u, v = (dx * cos + dy * sin) / np.float32(a), (dy * cos - dx * sin) / np.float32(b)
        if power == 2:
            radius = np.sqrt(u * u + v * v)
        else:
            radius = (np.abs(u) ** np.float32(power) + np.abs(v) ** np.float32(power)) ** np.float32(1 / power)
        return (1 - radius) * np.float32(min(a, b))


def mix(image: F32, value: float | F32, cover: F32) -> F32:
    """Paint ``value`` over an image where ``cover`` is 1."""
    return image + (value - image) * cover


def field(rng: np.random.Generator, grid: Grid, scale: float) -> F32:
    """Return a smooth random field of mean 0 and deviation 1 with detail of size ``scale``.

    The control points do not depend on the number of pixels: the same patient can be made at any resolution.
    """
    count = int(np.ceil(2 * 1.3 / scale)) + 4
    points = rng.standard_normal((count, count), dtype=np.float32)
    at = (grid.x[0] + np.float32(1.3)) / np.float32(scale) + 1
    weights = _spline(at, count)
    return ((weights @ points @ weights.T) * np.float32(1.5)).astype(np.float32)


def _spline(at: F32, count: int) -> F32:
    """Return the weights of cubic B-splines on whole numbers at the places ``at``, (len(at), count)."""
    t = np.abs(at[:, None] - np.arange(count, dtype=np.float32))
    near, far = 2 / 3 - t * t + t**3 / 2, np.clip(2 - t, 0, None) ** 3 / 6
    return np.where(t < 1, near, far).astype(np.float32)


def vessels(rng: np.random.Generator, grid: Grid, roots: list[tuple[float, float, float]], size: float) -> F32:
    """Draw vessels that branch outwards from ``roots`` (x, y, direction) and dots of others that cross the slice.

    Returns the coverage 0..1. ``size`` scales lengths and widths.
    """
    from PIL import Image, ImageDraw

    pixels, fine = grid.x.shape[0], 3
    image = Image.new("L", (pixels * fine, pixels * fine))
    draw = ImageDraw.Draw(image)

    unit, middle = fine / grid.pixel, pixels * fine / 2  # pixels of the picture to a unit of length, and its centre
    stack = [(x, y, d, 0.16 * size, 0.030 * size, 0) for x, y, d in roots]
    while stack:
        x, y, direction, length, width, depth = stack.pop()
        bend = rng.normal(0, 0.25)
        ex, ey = x + length * math.cos(direction + bend), y + length * math.sin(direction + bend)
        strength = int(255 * max(0.35, 1 - 0.13 * depth))
        ends = [x * unit + middle, y * unit + middle, ex * unit + middle, ey * unit + middle]
        draw.line(ends, fill=strength, width=max(1, round(width * unit)))
        if depth < 4:
            for turn in rng.normal((-0.5, 0.5), 0.22):
                if rng.random() < 0.93:
                    shrink = rng.uniform(0.62, 0.88)
                    stack.append((ex, ey, direction + bend + turn, length * shrink, width * 0.66, depth + 1))
    for x, y, r in zip(*rng.uniform(-1, 1, (2, 110)), rng.exponential(0.006, 110) + 0.004, strict=True):
        cx, cy, radius = x * unit + middle, y * unit + middle, min(r, 0.02) * size * unit
        draw.ellipse([cx - radius, cy - radius, cx + radius, cy + radius], fill=int(rng.uniform(110, 255)))
    small = image.resize((pixels, pixels), Image.Resampling.BOX)
    return np.asarray(small, np.float32) / np.float32(255)
