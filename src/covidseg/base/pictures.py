"""Reading a PNG or JPEG file as one grey picture. The rule, for all that reads pictures:

- Every chunk of a PNG has to fit its checksum, up to its end; JPEG has none.
- Colour is refused, unless all channels are equal. Alpha is refused, unless it is opaque everywhere.
- A palette's picture has the grey values of its colours; where label maps are read, it has the palette's indices.
- A 1-bit picture has the values 0 and 255.
- Several frames (APNG) and an EXIF orientation other than upright are refused: others would see another picture.
"""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from covidseg.base.files import regular

Array = np.ndarray[Any, Any]

FORMATS = ("PNG", "JPEG")  # whatever a file is called, no other decoder runs: that of PostScript executes it
PNG = b"\x89PNG\r\n\x1a\n"
ORIENTATION, UPRIGHT = 0x0112, 1  # of EXIF
GREYS = ("L", "I", "I;16", "F")


def read_picture(path: Path, indices: bool = False) -> Array:
    """Return the grey values (H, W) of a picture; ``indices``: those of its palette where it has one.

    Raises FileNotFoundError, and ValueError for everything that the rule above refuses and what is broken.
    """
    from PIL import Image

    regular(path)
    if _begins(path) == PNG:
        _check_chunks(path)
    try:
        with Image.open(path, formats=FORMATS) as image:
            if getattr(image, "n_frames", 1) > 1:
                raise ValueError("an animation of several frames; save one picture")
            if image.getexif().get(ORIENTATION, UPRIGHT) != UPRIGHT:
                raise ValueError("its EXIF orientation turns it; save it upright, without the tag")
            transparent = image.info.get("transparency")
            image.load()
            return _grey(image, indices, transparent)
    except FileNotFoundError:
        raise
    except (OSError, SyntaxError, Image.DecompressionBombError, struct.error, zlib.error) as e:
        raise ValueError(f"corrupt or not an image: {(str(e).splitlines() or [type(e).__name__])[0]}") from e


def _grey(image: Any, indices: bool, transparent: Any) -> Array:
    if transparent is not None and not (isinstance(transparent, bytes) and set(transparent) <= {255}):
        raise ValueError("it has transparent colours; save it opaque")
    if image.mode == "1":
        return np.asarray(image).astype(np.uint8) * 255
    if image.mode == "P":
        if indices:
            return np.asarray(image)
        image = image.convert("RGB")
    if image.mode in GREYS:
        return np.asarray(image)
    if image.mode not in ("RGB", "RGBA", "LA"):
        raise ValueError(f"{image.mode} image; expected 8-bit grey, save it as such")
    pixels = np.asarray(image)
    if image.mode.endswith("A"):
        if (pixels[..., -1] != 255).any():
            raise ValueError("it has transparent pixels; save it opaque")
        pixels = pixels[..., :-1]
    if (pixels != pixels[..., :1]).any():
        raise ValueError("a colour image; expected 8-bit grey, save it as such")
    return np.ascontiguousarray(pixels[..., 0])


def _begins(path: Path) -> bytes:
    with open(path, "rb") as f:
        return f.read(len(PNG))


def _check_chunks(path: Path) -> None:
    """Raise ValueError unless every chunk of a PNG fits its checksum and the last one is its end."""
    with open(path, "rb") as f:
        f.seek(len(PNG))
        while True:
            head = f.read(8)
            if len(head) < 8:
                raise ValueError("corrupt or not an image: it is cut off")
            size, kind = struct.unpack(">I4s", head)
            crc, left = zlib.crc32(kind), size
            while left:
                piece = f.read(min(left, 1 << 20))
                if not piece:
                    raise ValueError("corrupt or not an image: it is cut off")
                crc, left = zlib.crc32(piece, crc), left - len(piece)
            if f.read(4) != struct.pack(">I", crc):
                raise ValueError(f"corrupt or not an image: the checksum of its chunk {kind!r} does not fit")
            if kind == b"IEND":
                return
