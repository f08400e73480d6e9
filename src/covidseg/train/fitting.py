"""One training, from a new or an earlier model to the files of its best epoch. Every method uses it."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from covidseg import nets
from covidseg.evaluate import rising
from covidseg.nets import published
from covidseg.train import codebooks, loop
from covidseg.train.device import place, processor
from covidseg.train.job import Job, Progress
from covidseg.train.loader import Rows, SliceLoader
from covidseg.train.predict import load_model, save_model
from covidseg.train.resume import Resume


def learn(
    job: Job, loader: SliceLoader, train: Rows, val: Rows, progress: Progress, *more: str, before: Path | None = None,
    make: Callable[..., loop.Loop] = loop.Loop,
) -> loop.Loop:  # fmt: skip
    """Train a new model, or that of the folder ``before``, on some rows; write model and history into ``job.out``.

    ``more``: hashes of further inputs of the result; ``make``: constructor of the loop, with the arguments of ``Loop``.
    The checkpoint stays until the caller has finished the job.
    """
    torch.manual_seed(int(job.random(-1).integers(2**63)))
    new = nets.build(job.spec.net, job.spec.input.channels, job.out_channels)
    if job.weights and not before:
        published.load(new.get_submodule("encoder"), job.weights)
    model = place(load_model(before, job.spec) if before else new, loader.device)
    resume = Resume(job.out, job.identity(loader.device.type, torch.__version__, *more))
    fit = make(job, model, loader, train, val, resume)
    fit.run(progress)
    save_model(model, job.spec, job.out / "model.safetensors")
    fit.write_history(job.out / "history.csv")
    return fit


def facts(fit: loop.Loop, start: float) -> dict[str, Any]:
    """Return what a record says of a training that began at ``start``."""
    assert fit.best is not None
    device = fit.loader.device
    used, collapsed = codebooks.usage(fit.model, fit.loader, fit.train)
    return {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "processor": processor(),
        "parameters": fit.flat.count,
        "best_epoch": fit.best["epoch"],
        "val_dsc": fit.best["dsc"],
        "epochs": fit.epoch,
        **fit.classes,
        **used,
        "seconds": round(time.perf_counter() - start, 2),
        "slices_per_second": round(fit.slices / fit.seconds, 3) if fit.slices else None,
        "resumed": fit.resumed,
        "notes": [*loop.notes(fit.loader, fit.val, fit.resume.notes), *rising.note(fit.validations), *collapsed],
    }
