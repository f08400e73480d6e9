"""The published lung U-Nets R231 and R231CovidWeb (Hofmanninger et al., 2020), through their own package.

We fetch the weights ourselves: the package's download has no hash check. The end of a file's name is the start of its
sha256.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from covidseg.base.errors import UserError, nearest
from covidseg.data.canonical import U8
from covidseg.lungs.threshold import WINDOW
from covidseg.nets.published import read

if TYPE_CHECKING:
    from covidseg.lungs import Predict

URL = "https://github.com/JoHof/lungmask/releases/download/v0.0/"
WEIGHTS = {"r231": "unet_r231-d5d2fc3d.pth", "r231covidweb": "unet_r231covid-0de78a7e.pth"}


def fetch_weights(name: str, folder: Path, mirror: Path | None, progress: Callable[[str], None] | None = None) -> Path:
    """Return the weights of ``name`` (r231 or r231covidweb) in ``folder``.

    They are looked for there, then in ``mirror``, then downloaded (``data.fetch.weights``). Raises UserError when they
    cannot be had or their sha256 does not start as their name ends.
    """
    from covidseg.data.fetch import weights

    if name not in WEIGHTS:
        raise UserError(f"lungs: no published weights {name!r}; {nearest(name, WEIGHTS)}")
    return weights(URL + WEIGHTS[name], folder, mirror, "set lungs: threshold or none", progress)


def predictor(
    name: str, folder: Path, mirror: Path | None, device: str = "auto", window: tuple[float, float] = WINDOW
) -> Predict:
    """Return a function from an 8-bit image (S, H, W) and its spacing to a lung mask of 0/1.

    The weights of ``name`` come from ``fetch_weights``; ``device`` auto takes a GPU where there is one. 8-bit slices
    are mapped back to HU through ``window``. Raises UserError when the weights cannot be had.
    """
    return network(fetch_weights(name, folder, mirror), device, window)


def network(path: Path, device: str = "auto", window: tuple[float, float] = WINDOW) -> Predict:
    """Return the predictor of a file of weights, loaded without running code from it.

    Raises UserError when they are not the lung network's weights.
    """
    from lungmask.mask import LMInferer

    what = "the lung network's weights"
    read(path, what)
    try:
        inferer = LMInferer(modelpath=str(path), force_cpu=device == "cpu", batch_size=8, tqdm_disable=True)
    except (RuntimeError, ValueError, KeyError, TypeError, AttributeError, IndexError) as e:
        raise UserError(f"{path}: not {what} ({str(e).splitlines()[0]}); fetch them again") from e

    def predict(image: U8, spacing: tuple[float, float, float]) -> U8:
        return (inferer.apply(to_hu(image, window)) > 0).astype(np.uint8)

    return predict


def to_hu(image: U8, window: tuple[float, float] = WINDOW) -> npt.NDArray[np.int16]:
    """Map 8-bit values back to HU through the window they were made with."""
    low, high = window
    return np.rint(image * ((high - low) / 255) + low).astype(np.int16)
