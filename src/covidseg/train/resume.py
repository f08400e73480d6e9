"""The resume state: where a killed training goes on."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from covidseg.base.errors import UserError
from covidseg.base.files import replacing
from covidseg.train.job import OUTPUTS

SECONDS = 20.0  # between two states, at least
SHARE = 0.02  # of the time that writing states may take


class Resume:
    """The file ``resume.pt`` of one training, of tensors and plain values; removed when the training is done."""

    def __init__(self, folder: Path, identity: str) -> None:
        self.path, self.identity = folder / "resume.pt", identity
        self.notes: list[str] = []
        self._last, self._cost = time.monotonic(), 0.0

    def load(self) -> dict[str, Any] | None:
        """Return the state, or None; one that is damaged or of another spec is ignored and noted."""
        if not self.path.exists():
            return None
        try:
            state = torch.load(self.path, map_location="cpu", weights_only=True)
            if state["identity"] == self.identity:
                return dict(state)
            self.notes.append("ignored a resume state of another spec")
        except Exception:  # a torn or foreign file raises almost anything
            self.notes.append("ignored a damaged resume state")
        return None

    def due(self) -> bool:
        """Return whether a state should be written now."""
        return time.monotonic() - self._last >= max(SECONDS, self._cost / SHARE)

    def save(self, state: Callable[[], dict[str, Any]]) -> None:
        """Write the state at once."""
        start = time.monotonic()
        try:
            with replacing(self.path) as temporary:
                torch.save(state() | {"identity": self.identity}, temporary)
        except RuntimeError as e:  # torch's writer does not say why it could not write
            raise UserError(f"{self.path}: cannot be written; is the disk full? Run again, nothing was lost") from e
        self._last = time.monotonic()
        self._cost = self._last - start

    def remove(self) -> None:
        """Remove the state."""
        self.path.unlink(missing_ok=True)


def clear(folder: Path, more: tuple[str, ...] = ()) -> None:
    """Remove what would look finished, the record first, and what a killed job left half-written.

    ``more``: files that a method writes besides those of all. The resume state stays.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("run.json", *OUTPUTS, *more):
        (folder / name).unlink(missing_ok=True)
    for name in (*OUTPUTS, *more, "run.json", "resume.pt"):
        for left in folder.glob(f".{name}.*"):
            left.unlink()
