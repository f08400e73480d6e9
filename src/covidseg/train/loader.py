"""Batches of slices: from the memory of a GPU where all slices fit, else read from disk batch by batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from covidseg.base.errors import UserError
from covidseg.base.labels import UNLABELLED
from covidseg.data import splits, tensors
from covidseg.schema import InputMode
from covidseg.train.job import Job

Rows = npt.NDArray[np.int64]
U8 = npt.NDArray[np.uint8]
What = Literal["image", "lung", "prior", "target"]
Picked = dict[What, Tensor]  # uint8 (n, H, W) each; what the network does not see is left out
SHARE = 0.5  # of the free memory of a GPU that slices may take
PART = 64  # slices that the host's memory holds while more go through it


def rows_by_role(job: Job, loaded: tensors.Tensors) -> dict[str, Rows]:
    """Return the rows of the tensors that train, validate and test in the job's fold, in the table's order.

    Raises UserError when the split names a case that the tensors lack, or no slice trains.
    """
    split = splits.read(job.split)
    cases = np.array(loaded.columns["case"], dtype=str)
    found = {}
    for role in splits.ROLES:
        wanted = split.cases(job.fold, role)
        missing = sorted(set(wanted) - set(cases.tolist()))
        if missing:
            raise UserError(f"{job.split}: case {missing[0]!r} is not in {job.tensors}; name cases of the data set")
        found[role] = np.flatnonzero(np.isin(cases, wanted))
    if not len(found["train"]):
        raise UserError(f"{job.split}: fold {job.fold} has no slice to train on; use another fold or split")
    return found


def compose(image_NHW: Tensor, lung_NHW: Tensor | None, mode: InputMode, prior_NHW: Tensor | None = None) -> Tensor:
    """Return the input (N, C, H, W) in 0..1 of uint8 images and 0/1 lung masks: the slice, the slice times the mask,
    or both as two channels; then the prior, of uint8 maps, where there is one.

    Raises UserError when the mode needs a lung mask and there is none.
    """
    channels = [image_NHW[:, None].float().div_(255)]
    if mode != "slice":
        if lung_NHW is None:
            raise UserError(f"input.mode: {mode} needs lung masks and none were given; use input.mode: slice")
        lung = lung_NHW[:, None].float()
        channels = [channels[0].mul_(lung)] if mode == "masked" else [*channels, lung]
    if prior_NHW is not None:
        channels.append(prior_NHW[:, None].float().div_(255))
    x = torch.cat(channels, 1) if len(channels) > 1 else channels[0]
    return x.contiguous(memory_format=torch.channels_last)


class Slices:
    """Slices of a data set's tensors: images, lungs, and the class of each pixel from its label.

    ``target`` is 0 for background and 1..K for the classes of ``class_values``; a lung pixel of another class keeps
    that class. Without ``lungs`` every pixel counts as lung. ``prior`` returns the map of each of some rows, uint8.
    ``soft``: ``target`` is 255 times the probability of the one class instead.
    """

    soft = False

    def __init__(
        self,
        loaded: tensors.Tensors,
        class_values: dict[str, tuple[int, ...]],
        lungs: bool = True,
        prior: Callable[[Rows], U8] | None = None,
    ) -> None:
        self.loaded, self._lungs, self.prior = loaded, lungs, prior
        self._names = list(class_values)
        self._classes = np.zeros(256, np.uint8)  # by value of the label
        if loaded.image_labels:
            self._classes[UNLABELLED] = UNLABELLED
        self._lung_class = 0  # the one without label values: its truth is the lung mask
        for k, values in enumerate(class_values.values(), 1):
            self._classes[list(values)] = k
            self._lung_class = self._lung_class if values else k

    def __len__(self) -> int:
        return len(self.loaded)

    def image(self, rows: Rows) -> U8:
        """Return the images of some rows."""
        return self.loaded.image[rows]

    def lung(self, rows: Rows) -> U8:
        """Return the lung masks of some rows."""
        return self.loaded.lung[rows] if self._lungs else np.ones((len(rows), *self.loaded.lung.shape[1:]), np.uint8)

    def target(self, rows: Rows) -> U8:
        """Return the class of each pixel of some rows."""
        if not self._lung_class:
            return self._classes[self.loaded.label[rows]]
        inside = (self.loaded.lung[rows] > 0).astype(np.uint8) * np.uint8(self._lung_class)
        if len(self._names) == 1:
            return inside
        target = self._classes[self.loaded.label[rows]]
        return np.where(target > 0, target, inside)


class SliceLoader:
    """Batches of (input float32 (n, C, H, W), target uint8 (n, H, W)) on a device.

    With a soft source among them all targets are soft: float32, the probability of the one class in 0..1.

    Rows count through the sources, one after the other. On a CPU each batch is read from disk: what was read once stays
    in the system's cache of files and is shared between jobs. A GPU gets all slices when they fit into half its free
    memory (``hold``); else a thread prepares the next batch while the device works on this one (``streamed``). Either
    way the process holds a few batches in the host's memory, however many slices there are.
    """

    def __init__(self, sources: Sequence[Slices], mode: InputMode, device: torch.device) -> None:
        self.sources, self.mode, self.device = sources, mode, device
        self.size = int(sources[0].loaded.image.shape[1])
        self.soft = any(source.soft for source in sources)
        self._ends = np.cumsum([len(source) for source in sources])
        seen: dict[What, bool] = {"lung": mode != "slice", "prior": sources[0].prior is not None}
        self._wanted: list[What] = ["image", *(what for what, wanted in seen.items() if wanted), "target"]
        self._held: Picked | None = None
        self.streamed = False
        if device.type == "cuda":
            bytes_ = len(self._wanted) * len(self) * self.size**2
            self.streamed = bytes_ > SHARE * torch.cuda.mem_get_info(device)[0]
            if not self.streamed:
                self.hold()

    def __len__(self) -> int:
        return int(self._ends[-1])

    def hold(self) -> None:
        """Put all slices on the device, a part at a time; batches then come from there."""
        one = np.zeros(1, np.int64)
        self._held = {
            what: torch.empty((len(self), *self._gather(what, one).shape[1:]), dtype=torch.uint8, device=self.device)
            for what in self._wanted
        }
        for rows in in_batches(np.arange(len(self)), PART):
            for what, whole in self._held.items():
                whole[rows[0] : rows[-1] + 1] = torch.from_numpy(self._gather(what, rows))

    def batches(self, batches: Sequence[Rows]) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield input and target of each batch of rows, in order."""
        if not self.streamed:
            for rows in batches:
                yield self._finish(self._pick(rows))
            return
        with ThreadPoolExecutor(1) as pool:
            coming = [pool.submit(self._read, rows) for rows in batches[:1]]
            for i in range(len(batches)):
                ready = coming.pop().result()
                coming = [pool.submit(self._read, rows) for rows in batches[i + 1 : i + 2]]
                yield self._finish(ready)

    def refresh(self, rows: Rows) -> None:
        """Take note that the targets of some rows have changed in their source."""
        if self._held is not None:
            self._held["target"][torch.from_numpy(rows).to(self.device)] = self._send(self.target(rows))

    def pixels(self, rows: Rows, classes: int) -> list[int]:
        """Return how many pixels of the rows' targets each foreground class has."""
        counts = np.zeros(1 + classes, np.int64)
        for part in in_batches(rows, PART):
            found = np.bincount(self.target(part).ravel(), minlength=1 + classes)
            counts += found[: 1 + classes]  # what follows has no label
        return [int(n) for n in counts[1:]]

    def _pick(self, rows: Rows) -> Picked:
        if self._held is None:
            return self._read(rows)
        at = torch.from_numpy(rows).to(self.device)
        return {what: whole[at] for what, whole in self._held.items()}

    def _read(self, rows: Rows) -> Picked:
        """Return some rows on the device."""
        return {what: self._send(self._gather(what, rows)) for what in self._wanted}

    def target(self, rows: Rows) -> U8:
        """Return the class of each pixel of some rows; with a soft source 255 times the one class's probability."""
        return self._gather("target", rows)

    def _gather(self, what: What, rows: Rows) -> U8:
        if len(self.sources) == 1:
            found: U8 = getattr(self.sources[0], what)(rows)
            return found
        out = np.empty((len(rows), self.size, self.size), np.uint8)
        owner = np.searchsorted(self._ends, rows, side="right")
        for k, source in enumerate(self.sources):
            if len(at := np.flatnonzero(owner == k)):
                out[at] = getattr(source, what)(rows[at] - (self._ends[k] - len(source)))
                if what == "target" and self.soft and not source.soft:
                    out[at] *= 255
        return out

    def _send(self, array: U8) -> Tensor:
        tensor = torch.from_numpy(np.ascontiguousarray(array))
        return tensor if self.device.type == "cpu" else tensor.pin_memory().to(self.device, non_blocking=True)

    def _finish(self, picked: Picked) -> tuple[Tensor, Tensor]:
        x, target = compose(picked["image"], picked.get("lung"), self.mode, picked.get("prior")), picked["target"]
        return x, target.float().div_(255) if self.soft else target


def in_batches(rows: Rows, batch: int) -> list[Rows]:
    """Return the rows cut into batches; the last may be smaller."""
    return [rows[i : i + batch] for i in range(0, len(rows), batch)]


def evaluation_batch(size: int, device: torch.device) -> int:
    """Return how many slices of a size go through a network at once without gradients."""
    most = 1 << (19 if device.type == "cpu" else 23)
    return min(64, max(1, most // size**2))
