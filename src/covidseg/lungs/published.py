"""The published lung U-Nets R231 and R231CovidWeb (Hofmanninger et al., 2020), through their own package.

We fetch the weights ourselves: the package's download has no hash check. Each file's name ends with the first digits of
its sha256.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from covidseg.base.errors import UserError
from covidseg.data.canonical import U8
from covidseg.lungs.threshold import WINDOW
from covidseg.nets.published import read

if TYPE_CHECKING:
    from covidseg.lungs import Predict, Request


def fetch_weights(
    address: str, folder: Path, mirror: Path | None, progress: Callable[[str], None] | None = None
) -> Path:
    """Return the file of weights at ``address`` in ``folder``.

    They are looked for there, then in ``mirror``, then downloaded (``data.fetch.weights``). Raises UserError when they
    cannot be had or their sha256 does not start as their name ends.
    """
    from covidseg.data.fetch import weights

    return weights(address, folder, mirror, "set lungs: threshold or none", progress)


def predictor(address: str, request: Request) -> Predict:
    """Return a function from an 8-bit image (S, H, W) and its spacing to a lung mask of 0/1.

    8-bit slices are mapped back to HU through the request's window. Raises UserError when the weights at ``address``
    cannot be had.
    """
    return network(fetch_weights(address, request.weights, request.mirror), request.device, request.window or WINDOW)


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
