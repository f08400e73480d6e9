"""A quiet log for Snakemake: one line per finished job, with how far the whole run is and how long it may still take.

Used as ``snakemake --logger covidseg``. Errors show the failed job's log.
"""

from __future__ import annotations

import sys
import time
from logging import ERROR, LogRecord
from pathlib import Path
from typing import Any

from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.common import LogEvent

LOG_LINES = 20  # of a failed job's log


class LogHandler(LogHandlerBase):
    """Print what finished, not how it was called."""

    def __post_init__(self) -> None:
        self.started = time.monotonic()
        self.messages: dict[int, str] = {}
        self.finished: list[str] = []

    def emit(self, record: LogRecord) -> None:
        event = getattr(record, "event", None)
        if event == LogEvent.JOB_INFO:
            self.messages[record.jobid] = record.rule_msg or record.rule_name  # type: ignore[attr-defined]
        elif event == LogEvent.JOB_FINISHED:
            self.finished.append(self.messages.get(_job(record), ""))
        elif event == LogEvent.PROGRESS:
            self._progress(record.done, record.total)  # type: ignore[attr-defined]
        elif event == LogEvent.JOB_ERROR:
            self._failed(record)
        elif record.levelno >= ERROR and (text := _text(record)):
            _print(text)

    def _progress(self, done: int, total: int) -> None:
        spent = time.monotonic() - self.started
        left = f", {_clock(spent / done * (total - done))} left" if 0 < done < total else ""
        for message in self.finished:
            if message and message not in ("all", "data", "models"):
                _print(
                    f"[{done:>{len(str(total))}}/{total}] {100 * done // total:3d} %  {_clock(spent)}{left}  {message}"
                )
        self.finished.clear()

    def _failed(self, record: LogRecord) -> None:
        _print(f"failed: {self.messages.get(_job(record), getattr(record, 'rule_name', 'a job'))}")
        for log in getattr(record, "log", None) or []:
            path = Path(str(log))
            lines = path.read_text(errors="replace").splitlines()[-LOG_LINES:] if path.is_file() else []
            _print("\n".join(f"  {line}" for line in [f"{path}:", *lines]))

    @property
    def writes_to_stream(self) -> bool:
        return True

    @property
    def writes_to_file(self) -> bool:
        return False

    @property
    def has_filter(self) -> bool:
        return True

    @property
    def has_formatter(self) -> bool:
        return True

    @property
    def needs_rulegraph(self) -> bool:
        return False


def _text(record: LogRecord) -> str:
    """Return what an error says, with the remedy where Snakemake's own is hard to find."""
    text = f"{getattr(record, 'exception', None) or ''} {record.getMessage()}".strip()
    if "LockException" in text:
        return (
            "another snakemake works here, or one was killed; if none does, run: covidseg resume, or snakemake --unlock"
        )
    if "IncompleteFiles" in text:
        return "some files are of a job that was killed; run again with: --rerun-incomplete"
    return "" if text.endswith("None") else text


def _job(record: LogRecord) -> Any:
    return getattr(record, "job_id", None) or getattr(record, "jobid", None)


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def _print(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
