"""Plain training on labelled slices; the best epoch by validation DSC is kept."""

from __future__ import annotations

import time
from typing import Any

import torch

from covidseg import nets
from covidseg.data import tensors
from covidseg.files import write_text
from covidseg.train import loop
from covidseg.train.device import place, prepare
from covidseg.train.feed import Feed, rows_by_role
from covidseg.train.job import Job, Progress
from covidseg.train.predict import save_model, write_predictions
from covidseg.train.resume import Resume, clear


def train(job: Job, progress: Progress) -> dict[str, Any]:
    """Train on the fold's training cases, write the outputs and return the facts. See ``covidseg.train.run``."""
    start = time.perf_counter()
    spec = job.spec
    clear(job.out)
    device = prepare(job.device, spec.threads)
    loaded = tensors.load(job.tensors)
    rows = rows_by_role(job, loaded)
    feed = Feed(job, loaded, device)
    torch.manual_seed(int(job.random(-1).integers(2**63)))
    model = place(nets.build(spec.net, spec.input.channels, job.out_channels), device)
    resume = Resume(job.out, job.identity(device.type, torch.__version__))
    terms, weights = loop.reweighted(spec, feed, rows["train"])
    fit = loop.Loop(job, model, feed, rows["train"], rows["val"], resume, terms)
    fit.run(progress)
    save_model(model, spec, job.out / "model.safetensors")
    write_text(job.out / "history.csv", fit.history_csv())
    write_predictions(model, feed, rows["test"], spec.classes, job.out / "predictions.h5")
    resume.remove()
    assert fit.best is not None
    return {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "parameters": fit.flat.count,
        "best_epoch": fit.best["epoch"],
        "val_dsc": fit.best["dsc"],
        "epochs": fit.epoch,
        "slices": {role: len(found) for role, found in rows.items()},
        **weights,
        "seconds": round(time.perf_counter() - start, 2),
        "slices_per_second": round(fit.slices / fit.seconds, 3) if fit.slices else None,
        "resumed": fit.resumed,
        "notes": loop.notes(feed, rows["val"], resume.notes),
    }
