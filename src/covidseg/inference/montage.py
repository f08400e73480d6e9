"""A picture to look at: a row of slices for each scan, what was found outlined in colour."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from covidseg.base.files import replacing
from covidseg.data.canonical import U8
from covidseg.data.tensors import resize

COLUMNS, ROWS, SIDE, HEAD = 6, 20, 192, 18  # slices of a scan, scans of a page; pixels of a slice, of a line of text
COLOURS = ((255, 60, 60), (60, 190, 255), (255, 200, 40), (90, 230, 110), (220, 110, 255))
RGB = npt.NDArray[np.uint8]


class Montage:
    """Pages ``montage.png``, ``montage-2.png``, ... of up to ROWS scans; one page is in memory at a time."""

    def __init__(self, out: Path, classes: list[str], note: str) -> None:
        self._out, self._note, self._classes = out, note, classes
        self._rows: list[RGB] = []
        self._pages = 0

    def add(self, name: str, image: U8, found: U8, words: str) -> None:
        """Add a scan (S, H, W), 8-bit with class numbers; ``words`` follow its name."""
        tiles = [_tile(image[k], found[k]) for k in chosen(found)]
        tiles += [np.zeros((SIDE, SIDE, 3), np.uint8)] * (COLUMNS - len(tiles))
        self._rows.append(np.vstack([_line(f"{name}   {words}"), np.hstack(tiles)]))
        if len(self._rows) == ROWS:
            self.flush()

    def flush(self) -> None:
        """Write the page that is begun."""
        from PIL import Image

        if not self._rows:
            return
        self._pages += 1
        path = self._out / ("montage.png" if self._pages == 1 else f"montage-{self._pages}.png")
        page = np.vstack([_line(self._note), _legend(self._classes), *self._rows])
        with replacing(path) as temporary:
            Image.fromarray(page).save(temporary)
        self._rows = []


def chosen(found: U8) -> list[int]:
    """Return the slices to show: spread over those with foreground, or over all where there are fewer of them."""
    hit = np.flatnonzero(found.reshape(len(found), -1).any(axis=1))
    among = hit if len(hit) >= min(COLUMNS, len(found)) else np.arange(len(found))
    places = np.linspace(0, len(among) - 1, min(COLUMNS, len(among))).round().astype(int)
    picked = [int(among[k]) for k in places]
    if len(hit) and not np.isin(picked, hit).any():  # the few slices with foreground must not be missed
        picked[len(picked) // 2] = int(hit[len(hit) // 2])
        picked.sort()
    return picked


def _tile(image: U8, found: U8) -> RGB:
    """Return a slice in grey at the montage's size, each class outlined in its colour."""
    height, width = image.shape
    scale = SIDE / max(height, width)
    shape = (max(1, round(height * scale)), max(1, round(width * scale)))
    grey, mask = resize(image, shape), resize(found, shape, nearest=True)
    tile = np.zeros((SIDE, SIDE, 3), np.uint8)
    part = tile[: shape[0], : shape[1]]
    part[...] = grey[..., None]
    for k in np.unique(mask[mask > 0]):
        part[_outline(mask == k)] = COLOURS[(int(k) - 1) % len(COLOURS)]
    return tile


def _outline(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    inner = np.pad(mask, 1)
    inner = inner[:-2, 1:-1] & inner[2:, 1:-1] & inner[1:-1, :-2] & inner[1:-1, 2:]
    return np.asarray(mask & ~inner)


def _line(text: str, colour: tuple[int, int, int] = (255, 255, 255), at: int = 4) -> RGB:
    """Return a line of text as wide as a page."""
    from PIL import Image, ImageDraw

    image = Image.new("RGB", (COLUMNS * SIDE, HEAD))
    ImageDraw.Draw(image).text((at, 3), text.encode("latin-1", "replace").decode("latin-1"), fill=colour)
    return np.asarray(image)


def _legend(classes: list[str]) -> RGB:
    """Return a line that names each class in its colour."""
    whole, at = np.zeros((HEAD, COLUMNS * SIDE, 3), np.uint8), 4
    for k, name in enumerate(classes):
        whole = np.maximum(whole, _line(name, COLOURS[k % len(COLOURS)], at))
        at += 8 * len(name) + 16
    return whole
