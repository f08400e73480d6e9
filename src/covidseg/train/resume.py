"""Checkpoints: the state from which a killed training continues."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from covidseg.base.errors import UserError
from covidseg.base.files import replacing

SECONDS = 20.0  # between two states, at least
SHARE = 0.02  # of the time that writing states may take
DIGEST = 32  # bytes of a sha256


class Resume:
    """The checkpoint ``resume.pt`` of one training, of tensors and plain values; removed when the training is done.

    torch does not compare weights with the checksums that it writes, so the file, a zip, has a sha256 as its comment.
    """

    def __init__(self, folder: Path, identity: str) -> None:
        self.path, self.identity = folder / "resume.pt", identity
        self.notes: list[str] = []
        self._last, self._cost = time.monotonic(), 0.0

    def load(self) -> dict[str, Any] | None:
        """Return the state, or None. A checkpoint that is damaged or of other settings is ignored with a note."""
        if not self.path.exists():
            return None
        try:
            if not _is_sealed(self.path):
                raise ValueError("its hash does not fit")
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
                _seal(temporary)
        except RuntimeError as e:  # torch's writer does not say why it could not write
            raise UserError(f"{self.path}: cannot be written; is the disk full? Run again, nothing was lost") from e
        self._last = time.monotonic()
        self._cost = self._last - start

    def remove(self) -> None:
        """Remove the state."""
        self.path.unlink(missing_ok=True)


def _seal(path: Path) -> None:
    """Append the sha256 of a zip as its comment, whose length are the last two bytes of a zip without one."""
    with open(path, "r+b") as f:
        f.seek(-2, os.SEEK_END)
        f.write(DIGEST.to_bytes(2, "little"))
        f.seek(0)
        f.write(hashlib.file_digest(f, "sha256").digest())


def _is_sealed(path: Path) -> bool:
    """Return whether a file ends in the sha256 of what is before."""
    digest, left = hashlib.sha256(), path.stat().st_size - DIGEST
    with open(path, "rb") as f:
        while left > 0 and (part := f.read(min(left, 1 << 20))):
            digest.update(part)
            left -= len(part)
        return f.read() == digest.digest()
