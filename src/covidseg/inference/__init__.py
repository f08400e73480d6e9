"""Trained models applied to whole scans; ``predictor`` makes one ready for use."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from covidseg.inference.api import Predictor

__all__ = ["predictor"]


def predictor(model: str | Path, device: str = "auto", threads: int | None = None) -> Predictor:
    """Return a predictor that is ready to segment scans.

    ``model`` is a file of ``covidseg export``, or ``threshold``, ``r231`` or ``r231covidweb`` for the lungs alone.
    ``device`` is auto (a GPU where there is one), cpu or cuda; ``threads`` are all of this process's where it is None.
    Raises UserError for a missing, foreign or damaged file, and where published weights cannot be had.
    """
    from covidseg.inference.api import of

    return of(model, device, threads)
