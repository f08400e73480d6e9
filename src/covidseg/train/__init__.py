"""Training: one file per method in ``methods``; ``run`` trains one run, fold and seed.

A method in one job has ``train(job, progress)``. One in several also has ``stage(job, name, progress)``, for the jobs
that its settings name in ``stages``, each in ``job.out/stages/NAME``; ``train`` is then the last. Where a
network sees a prior, the stage of that name comes before all others.
"""

from __future__ import annotations

import contextlib
import importlib
import sys
from typing import Any

import covidseg.schema  # noqa: F401 (which imports covidseg.train.methods)
from covidseg.train.job import OUTPUTS, Job, Progress, clear
from covidseg.train.stages import folder

__all__ = ["OUTPUTS", "Job", "run", "stage"]


def run(job: Job, progress: Progress) -> dict[str, Any]:
    """Train ``job``; write its OUTPUTS into ``job.out`` and return the facts for its ``run.json``.

    A method with stages has done them before. Killed at any moment and run again it goes on where it was and ends in
    the same bytes (on a CPU with the same number of threads). Raises UserError for unusable input and when the loss is
    no longer a number; then nothing that looks finished is left.
    """
    with contextlib.closing(progress) if hasattr(progress, "close") else contextlib.nullcontext():
        clear(job.out, job.spec.train.WRITES)
        facts: dict[str, Any] = _method(job).train(job, progress)
    return facts | _gpu_memory()


def stage(job: Job, name: str, progress: Progress) -> dict[str, Any]:
    """Do one stage of ``job``'s method in a folder of its own; return the facts for its record. Else as ``run``."""
    with contextlib.closing(progress) if hasattr(progress, "close") else contextlib.nullcontext():
        module = importlib.import_module("covidseg.train.prior") if name == "prior" else _method(job)
        clear(folder(job.out, name))
        facts: dict[str, Any] = module.stage(job, name, progress)
    return facts | _gpu_memory()


def _gpu_memory() -> dict[str, int]:
    """Return the peak of GPU memory in MiB; what needed no torch does not import it now."""
    device = sys.modules.get("covidseg.train.device")
    return {"peak_gpu_memory_mb": device.peak_gpu_memory_mb() if device else 0}


def _method(job: Job) -> Any:
    return importlib.import_module(f"covidseg.train.methods.{job.spec.train.method}")
