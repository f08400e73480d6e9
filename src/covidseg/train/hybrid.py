"""The steps of label propagation in one process: labels are made and learned where the slices are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from covidseg.data.full import hdf5
from covidseg.train.job import Job, Progress
from covidseg.train.loader import Rows, SliceLoader, evaluation_batch, in_batches
from covidseg.train.loop import Loop
from covidseg.train.predict import forward
from covidseg.train.pseudo import Soft
from covidseg.train.resume import Resume


def soft_labels(p_N1HW: Tensor) -> Tensor:
    """Return probabilities stretched over 0..255 slice by slice, uint8 (N, H, W); a slice of one value is 0.

    So Inf-Net's release stores what its model predicts; it trains on these grey values as they are.
    """
    p = p_N1HW[:, 0]
    low, high = p.amin((1, 2), keepdim=True), p.amax((1, 2), keepdim=True)
    return ((p - low) / (high - low).clamp(min=1e-8) * 255).round().to(torch.uint8)


class Hybrid(Loop):
    """Trains one model on and on, step by step, on labelled slices and on all that it has labelled itself by then.

    The loader's second source is ``Soft``: the slices in the order of their labelling. ``after``: how many of them are
    labelled after each step of all; ``steps``: those to do, counted from 0. The job's settings are those of a step;
    validation has no part in it: the last epoch of a step is what the next one starts from. A model, optimizer and
    loader serve all steps. Once given a label stays. The state holds the labels of these steps, too.
    """

    def __init__(
        self,
        job: Job,
        model: nn.Module,
        loader: SliceLoader,
        labelled: Rows,
        after: Sequence[int],
        steps: range,
        resume: Resume,
    ) -> None:
        assert isinstance(loader.sources[1], Soft)
        self.soft, self.labelled, self.after, self.steps = loader.sources[1], labelled, [0, *after], steps
        self.first_job, self.at = job, steps.start
        self.lines: list[dict[str, Any]] = []  # of the steps' labelling
        super().__init__(job, model, loader, labelled, np.zeros(0, np.int64), resume)

    def run(self, progress: Progress) -> None:
        """Do all steps, from where a killed process stood; the model then is that of the last epoch."""
        say = getattr(progress, "note", lambda text: None)
        if (state := self.resume.load()) is not None:
            self._restore(state)
            for line in self.lines:
                say(self._said(line))
        else:
            self._label()
            say(self._said(self.lines[-1]))
            self._begin()
        while True:
            self.fit(self._within(progress))
            self.lines[-1]["losses"] = {name: float(value) for name, value in self._last_losses()}
            if self.at + 1 == self.steps.stop:
                return
            self.at += 1
            self._label()
            say(self._said(self.lines[-1]))
            self._begin()

    def _label(self) -> None:
        """Let the model as it is label this step's slices."""
        group = self._rows(self.after[self.at], self.after[self.at + 1])
        self.model.eval()
        found = [
            soft_labels(forward(self.model, x))
            for x, _ in self.loader.batches(in_batches(group, evaluation_batch(self.loader.size, self.loader.device)))
        ]
        labels = torch.cat(found).cpu().numpy()
        self.soft.labels[self.after[self.at] : self.after[self.at + 1]] = labels
        self.loader.refresh(group)
        names = [self.soft.loaded.columns["slice"][row] for row in self.soft.index[group - len(self.loader.sources[0])]]
        self.lines.append(
            {
                "step": self.at + 1,
                "slices": names,
                "hybrid": len(self.labelled) + self.after[self.at + 1],
                "lesion": round(float((labels > 128).mean()), 6),
            }
        )

    def _begin(self) -> None:
        """Start this step's training, with a new optimizer in the place of the old one."""
        rows = np.concatenate([self.labelled, self._rows(0, self.after[self.at + 1])])
        self.begin(replace(self.first_job, stream=(*self.first_job.stream, self.at)), rows)

    def _rows(self, first: int, end: int) -> Rows:
        """Return the loader's rows of some slices of the pool, counted in the order of their labelling."""
        return len(self.loader.sources[0]) + np.arange(first, end)

    def _said(self, line: dict[str, Any]) -> str:
        return (
            f"step {line['step']} of {len(self.after) - 1}: labelled {', '.join(line['slices'])}; "
            f"{100 * line['lesion']:.1f} % lesion; learns {line['hybrid']} slices"
        )

    def _last_losses(self) -> list[tuple[str, str]]:
        cells = dict(zip(self._header, self.history[-1], strict=True))
        return [(name, cells[name]) for name in self.terms if cells[name]]

    def _within(self, progress: Progress) -> Progress:
        """Return a progress of this step that tells that of all."""
        each, done = self.settings.epochs, self.at - self.steps.start

        def tell(epoch: float, total: float, text: str) -> None:
            progress(done * each + epoch, len(self.steps) * each, f"step {self.at + 1}, {text}".rstrip(", "))

        return tell

    def _state(self) -> dict[str, Any]:
        first, end = self.after[self.steps.start], self.after[self.at + 1]
        labels = torch.from_numpy(self.soft.labels[first:end].copy())
        return super()._state() | {"step": self.at, "labels": labels, "lines": self.lines}

    def _restore(self, state: dict[str, Any]) -> None:
        self.at, self.lines = state["step"], state["lines"]
        first, end = self.after[self.steps.start], self.after[self.at + 1]
        self.soft.labels[first:end] = state["labels"].numpy()
        self.loader.refresh(self._rows(first, end))
        self._begin()
        super()._restore(state)


def write_soft(soft: Soft, first: int, path: Path) -> None:
    """Write the labels from number ``first`` on: ``index`` int32 (n,), rows of the pool, ``label`` uint8 (n, H, W)."""
    labels = soft.labels[first:]
    with hdf5(path) as writer:
        append = writer.slices("label", soft.index[first:], labels.shape[1:])
        for label in labels:
            append(label[None])
