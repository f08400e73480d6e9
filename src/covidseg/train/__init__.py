"""Training: one file per method, named in METHODS; ``run`` trains one run, fold and seed."""

from __future__ import annotations

import importlib
from typing import Any

from covidseg.errors import UserError, nearest
from covidseg.train.job import OUTPUTS, Job, Progress

__all__ = ["METHODS", "OUTPUTS", "Job", "run"]

METHODS = ("supervised",)


def run(job: Job, progress: Progress) -> dict[str, Any]:
    """Train ``job``; write its OUTPUTS into ``job.out`` and return the facts for its ``run.json``.

    Killed at any moment and run again it goes on where it was and ends in the same bytes (on a CPU with the same
    number of threads). Raises UserError for unusable input and when the loss is no longer a number; then nothing
    that looks finished is left.
    """
    method = job.spec.train.method
    if method not in METHODS:
        raise UserError(f"train.method: unknown value {method!r}; {nearest(method, METHODS)}")
    try:
        facts: dict[str, Any] = importlib.import_module(f"covidseg.train.{method}").train(job, progress)
        return facts
    finally:
        getattr(progress, "close", lambda: None)()
