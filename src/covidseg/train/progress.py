"""Progress of a training: a bar on a terminal, else at most one line every ten seconds."""

from __future__ import annotations

import sys
import time
from typing import Any, TextIO

EVERY = 10.0  # seconds between two lines


class Progress:
    """Callable ``(epochs done, epochs in all, how it stands)`` that tells a person on ``stream``."""

    def __init__(self, title: str, stream: TextIO | None = None) -> None:
        self.title, self.stream = title, stream or sys.stderr
        self._start: tuple[float, float] | None = None
        self._said = 0.0
        self._bar: Any = None

    def __call__(self, done: float, total: float, text: str) -> None:
        """Take note of how far the training is and say so when it is time."""
        now = time.monotonic()
        if self._start is None:
            self._start, self._said = (now, done), now
            if self.stream.isatty():
                self._bar = _bar(self.stream)
                self._task = self._bar.add_task(self.title, total=total, text="")
                self._bar.start()
        if self._bar is not None:
            self._bar.update(self._task, completed=done, text=text)
        elif now - self._said >= EVERY or (done >= total and self._said > self._start[0]):
            self._said = now
            print(
                line(self.title, done, total, text, now - self._start[0], self._start[1]), file=self.stream, flush=True
            )

    def note(self, text: str) -> None:
        """Print a note immediately."""
        if self._bar is not None:
            self._bar.console.print(f"{self.title}: {text}")
        else:
            print(f"{self.title}: {text}", file=self.stream, flush=True)

    def close(self) -> None:
        """Leave the terminal as it was."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


def line(title: str, done: float, total: float, text: str, seconds: float, first: float) -> str:
    """Return ``title: epoch 3/15, text, 2 min left``; ``first``: where the training stood ``seconds`` ago."""
    parts = [f"{title}: epoch {int(done)}/{int(total)}"]
    if text:
        parts.append(text)
    if done > first and done < total:
        parts.append(f"{duration(seconds * (total - done) / (done - first))} left")
    return ", ".join(parts)


def duration(seconds: float) -> str:
    """Return a time in one unit that a person reads at a glance."""
    for unit, size in (("h", 3600), ("min", 60)):
        if seconds >= 1.5 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def _bar(stream: TextIO) -> Any:
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    from covidseg.base.text import console

    parts = ("{task.description}", "{task.completed:.0f}/{task.total:.0f}", "{task.fields[text]}")
    title, count, text = (TextColumn(part, markup=False) for part in parts)
    return Progress(title, BarColumn(), count, text, TimeRemainingColumn(), console=console(stream))
