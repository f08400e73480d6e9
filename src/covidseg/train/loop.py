"""The training loop: batches, steps, validation, the best epoch, and the checkpoint."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from covidseg import losses
from covidseg.base import csvfile
from covidseg.base.errors import UserError
from covidseg.losses.targets import channels, label_map, labelled
from covidseg.schema import RunSpec
from covidseg.train.augment import augmented
from covidseg.train.device import arithmetic, autocast
from covidseg.train.job import Job, Progress
from covidseg.train.loader import Rows, SliceLoader, evaluation_batch, in_batches
from covidseg.train.optimizer import FlatParameters, Optimizer
from covidseg.train.predict import forward
from covidseg.train.resume import Resume


class Loop:
    """Trains a model on some rows and keeps the epoch with the best validation DSC; the first epoch is 0.

    ``terms`` are the losses with the class weights of these rows. ``_state`` holds everything that a killed training
    needs to continue; all else follows from the job.

    A training method that needs more derives from this class and extends what it needs, in its own file:

    - ``_batches``: the data of each step, for instance labelled slices and slices of a second source;
    - ``_backward``: forward and backward passes of one batch, which add to the gradients;
    - ``_update``: the step of the optimizer, once the gradients of ``accumulate`` batches have come together;
    - ``columns`` and ``active``: columns of the history besides the losses, whose values ``_backward`` returns;
    - ``_snapshot`` and ``_put_back``: state of the best epoch besides the model;
    - ``_state`` and ``_restore``: the checkpoint;
    - ``best_from``: the first epoch that may be chosen as the best one.
    """

    best_from = 0

    def __init__(self, job: Job, model: nn.Module, loader: SliceLoader, train: Rows, val: Rows, resume: Resume) -> None:
        self.model, self.loader, self.val, self.resume = model, loader, val, resume
        self.flat = FlatParameters(model)
        self.optimizer = Optimizer(self.flat, job.spec.train.optimizer)
        self.resumed = False
        self.seconds, self.slices = 0.0, 0  # of this process
        self.begin(job, train)

    def begin(self, job: Job, train: Rows) -> None:
        """Restart the training on new rows from the current weights; reset optimizer, history and best epoch."""
        self.job, self.train, self.settings = job, train, job.spec.train
        self.terms, self.classes = reweighted(job.spec, self.loader, train)
        self.optimizer.reset()
        self.flat.grads.zero_()
        self.epoch = self.batch = self.pending = 0  # epoch, its batches done, batches in the gradients
        self.history: list[list[str]] = []
        self.best: dict[str, Any] | None = None
        self.values = torch.zeros(0)  # of this epoch, one row a batch, one column per active column of the history

    @property
    def columns(self) -> list[str]:
        """Return the columns of the history between the learning rate and the validation DSC."""
        return list(self.terms)

    def active(self, epoch: int) -> list[str]:
        """Return the columns that have a value in an epoch."""
        return losses.active(self.terms, epoch)

    def run(self, progress: Progress) -> None:
        """Train to the last epoch; the model then has the weights of the best epoch."""
        if (state := self.resume.load()) is not None:
            self._restore(state)
        self.fit(progress)

    def fit(self, progress: Progress) -> None:
        """Train from the current state to the last epoch; the model then has the weights of the best epoch."""
        start = time.perf_counter()
        while self.epoch < self.settings.epochs:
            self._train_epoch(progress)
            self._close_epoch()
            self._save_when_due()
        if self.best is None:
            self.best = {"epoch": self.epoch - 1, "dsc": None, **self._snapshot()}
        self._put_back(self.best)
        self.model.eval()
        self.seconds += time.perf_counter() - start
        progress(self.epoch, self.settings.epochs, self._text())

    def _train_epoch(self, progress: Progress) -> None:
        random = self.job.random(self.epoch)
        order = random.permutation(self.train)
        order = order[: self.settings.slices_per_epoch or len(order)]
        batches = in_batches(order, self.settings.batch)
        smallest = min(side(self.job.spec.input.size, scale) for scale in self.settings.scales)
        if smallest < 64 and len(batches) > 1 and len(batches[-1]) == 1:
            # a single slice whose deepest map is one pixel has no variance to normalise by
            batches[-2:] = [np.concatenate(batches[-2:])]
        draws = random.integers(2**63, size=len(batches))  # what a batch draws, as dropout does, is its own
        if self.batch == 0:
            self.values = torch.zeros(len(batches), len(self.active(self.epoch)), device=self.flat.values.device)
            if self.optimizer.restarts(self.epoch):
                self.optimizer.reset()
        self.model.train()
        for batch in self._batches(batches, random):
            progress(self.epoch + self.batch / len(batches), self.settings.epochs, self._text())
            torch.manual_seed(int(draws[self.batch]))
            self._step(*batch)
            self.batch += 1
            self.slices += len(batch[0])
            self._save_when_due()

    def _batches(self, batches: list[Rows], random: np.random.Generator) -> Iterator[tuple[Tensor, ...]]:
        """Yield what each step of this epoch learns from, from batch number ``self.batch`` on: input and target.

        ``batches``: rows of all batches of the epoch; ``random``: the epoch's generator, for what else is drawn.
        """
        return self.loader.batches(batches[self.batch :])

    def _step(self, x: Tensor, target: Tensor, *more: Tensor) -> None:
        """Train on one batch at each scale, and update the parameters once enough batches are accumulated."""
        if self.settings.augment is not None:
            x, target = augmented(x, target, self.settings.augment)
        for scale in self.settings.scales:
            found = self._backward(*at_scale(x, target, scale), *more)
            values = torch.stack([found[name].detach() for name in self.active(self.epoch)])
            self.values[self.batch] += values / len(self.settings.scales)
            if x.device.type == "cpu":  # elsewhere it would wait for the device: there once an epoch is enough
                self._refuse_nan(self.batch, self.batch)
            self.pending += 1
            if self.pending == self.settings.accumulate:  # what is left at the end of an epoch goes into the next
                self._update()
                self.pending = 0

    def _backward(self, x: Tensor, target: Tensor) -> dict[str, Tensor]:
        """Add one batch's gradients to those there are; return the value of each active column of the history."""
        with autocast(x.device):
            loss, values = losses.total(self.terms, self.model(x), target, self.epoch)
        (loss / self.settings.accumulate).backward()
        return values

    def _update(self) -> None:
        """Update the parameters from the gradients and zero these."""
        self.optimizer.step(self.epoch)

    def _close_epoch(self) -> None:
        """Validate, keep the best, write the history's line and go on to the next epoch."""
        self._refuse_nan(0, self.batch)
        if not torch.isfinite(self.flat.values.sum()):  # any NaN or infinity makes the sum one
            self._stop("the weights", len(self.values))
        last = self.epoch + 1 == self.settings.epochs
        dsc = None
        if len(self.val) and (last or (self.epoch + 1) % self.settings.validate_every == 0):
            dsc = mean_dsc(self.model, self.loader, self.val)
            if self.epoch >= self.best_from and (self.best is None or dsc > self.best["dsc"]):
                self.best = {"epoch": self.epoch, "dsc": dsc, **self._snapshot()}
        means = dict(zip(self.active(self.epoch), self.values.double().mean(0).tolist(), strict=True))
        cells = [self.optimizer.rate(self.epoch), *map(means.get, self.columns), dsc]
        self.history.append([str(self.epoch), *("" if cell is None else f"{cell:.6g}" for cell in cells)])
        self.epoch, self.batch = self.epoch + 1, 0

    def write_history(self, path: Path) -> None:
        """Write the history: epoch, learning rate, mean of each loss (empty while it is off), validation DSC."""
        rows = ([int(epoch), *(float(cell) if cell else None for cell in cells)] for epoch, *cells in self.history)
        csvfile.write(path, self._header, (dict(zip(self._header, row, strict=True)) for row in rows))

    @property
    def validations(self) -> list[float]:
        """Return the validation DSC of each epoch that was validated, in order."""
        return [float(row[-1]) for row in self.history if row[-1]]

    @property
    def _header(self) -> list[str]:
        return ["epoch", "lr", *self.columns, "val_dsc"]

    def _text(self) -> str:
        parts = []
        if self.history:
            row = dict(zip(self._header, self.history[-1], strict=True))
            parts = [f"{name} {float(row[name]):.4f}" for name in self.columns if row[name]]
        if self.best is not None and self.best["dsc"] is not None:
            parts.append(f"best val DSC {self.best['dsc']:.3f}")
        return ", ".join(parts)

    # -- a loss that is no number

    def _refuse_nan(self, first: int, last: int) -> None:
        """Raise UserError when a loss of the batches ``first`` to ``last`` of this epoch is not finite."""
        for batch, row in enumerate(self.values[first : last + 1].tolist(), first):
            if not all(map(math.isfinite, row)):
                bad = [
                    name for name, value in zip(self.active(self.epoch), row, strict=True) if not math.isfinite(value)
                ]
                self._stop("the loss" if bad[0] in self.terms else bad[0], batch)

    def _stop(self, what: str, batch: int) -> NoReturn:
        self.resume.remove()
        raise UserError(
            f"{self.job.out}: {what} became NaN or infinite in epoch {self.epoch}, batch {batch}; lower "
            f"train.optimizer.lr (now {self.optimizer.rate(self.epoch):g}) or look at the slices of this batch"
        )

    # -- the state

    def _save_when_due(self) -> None:
        """Write the checkpoint when it is due."""
        if self.resume.due():
            self._refuse_nan(0, self.batch)
            self.resume.save(self._state)

    def _snapshot(self) -> dict[str, Tensor]:
        """Return a copy of the parameters and buffers."""
        return self.flat.snapshot()

    def _put_back(self, snapshot: dict[str, Any]) -> None:
        """Restore what ``_snapshot`` returned."""
        self.flat.restore(snapshot)

    def _state(self) -> dict[str, Any]:
        """Return all that the rest of the training depends on: tensors and plain values."""
        return {
            "epoch": self.epoch,
            "batch": self.batch,
            "pending": self.pending,
            "history": self.history,
            "best": self.best,
            "losses": self.values,
            "model": self._snapshot(),
            "grads": self.flat.grads if self.pending else None,
            "optimizer": self.optimizer.state,
        }

    def _restore(self, state: dict[str, Any]) -> None:
        device = self.flat.values.device
        self.epoch, self.batch, self.pending = state["epoch"], state["batch"], state["pending"]
        self.history, self.best, self.values = state["history"], state["best"], state["losses"].to(device)
        self._put_back(state["model"])
        if state["grads"] is not None:
            self.flat.grads.copy_(state["grads"])
        self.optimizer.state = {name: value.to(device) for name, value in state["optimizer"].items()}
        self.resumed = True


def side(size: int, scale: float) -> int:
    """Return the side of a square slice at a scale, rounded to 32 pixels; at scale 1 it stays as it is."""
    return size if scale == 1 else max(32, 32 * round(size * scale / 32))


def at_scale(x: Tensor, target: Tensor, scale: float) -> tuple[Tensor, Tensor]:
    """Return input (N, C, H, W) and target (N, H, W) at a scale: bilinear, and labels by the nearest pixel."""
    size = [side(length, scale) for length in x.shape[2:]]
    if size == list(x.shape[2:]):
        return x, target
    return (
        F.interpolate(x, size, mode="bilinear", align_corners=False),
        F.interpolate(target[:, None], size, mode="nearest-exact")[:, 0],
    )


def mean_dsc(model: nn.Module, loader: SliceLoader, rows: Rows) -> float:
    """Return the DSC of the label maps, averaged over slices and foreground classes; both empty counts as 1."""
    model.eval()
    scores: list[Tensor] = []
    for x, target in loader.batches(in_batches(rows, evaluation_batch(loader.size, loader.device))):
        p_NKHW = forward(model, x)
        predicted, truth = (channels(labels, p_NKHW.shape[1]).bool() for labels in (label_map(p_NKHW), target))
        predicted &= labelled(target)
        common = (predicted & truth).sum((2, 3))
        both = predicted.sum((2, 3)) + truth.sum((2, 3))
        scores.append(torch.where(both > 0, 2 * common.double() / both.clamp(min=1), 1.0))
    return float(torch.cat(scores).mean())


def reweighted(spec: RunSpec, loader: SliceLoader, rows: Rows) -> tuple[losses.Losses, dict[str, Any]]:
    """Return a run's losses for training on some rows, and facts for its record.

    ``class_pixels`` where there are several classes, ``class_weights`` where a loss asks for ``reweight``.
    """
    if len(spec.classes) == 1:
        return spec.losses, {}
    pixels = loader.pixels(rows, len(spec.classes))
    facts = {"class_pixels": dict(zip(spec.classes, pixels, strict=True))}
    if not losses.reweights(spec.losses):
        return spec.losses, facts
    weights = dict(zip(spec.classes, losses.class_weights(pixels), strict=True))
    return losses.resolved(spec.losses, pixels), {**facts, "class_weights": weights}


def notes(loader: SliceLoader, val: Rows, more: Sequence[str]) -> list[str]:
    """Return notes on the training that a reader of the result needs."""
    found = list(more)
    if not len(val):
        found.append("no validation cases: the last epoch is kept")
    if loader.streamed:
        found.append("streamed: the slices do not fit on the device")
    return [*found, *arithmetic(loader.device)]
