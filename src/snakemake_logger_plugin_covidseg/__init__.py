"""A quiet log for Snakemake: one line per finished job, with how far the whole run is and how long it may still take.

Used as ``snakemake --logger covidseg``. A dry run lists the jobs; errors show the failed job's log.
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
COARSE = ("all", "data", "models")  # the rules that make nothing themselves


class LogHandler(LogHandlerBase):
    """Print what finished, not how it was called."""

    def __post_init__(self) -> None:
        self.started = time.monotonic()
        self.messages: dict[int, str] = {}
        self.finished: list[str] = []
        self.counted = False
        self.dryrun = self.common_settings.dryrun

    def emit(self, record: LogRecord) -> None:
        event = getattr(record, "event", None)
        if event == LogEvent.JOB_INFO:
            message = record.rule_msg or record.rule_name  # type: ignore[attr-defined]
            self.messages[record.jobid] = message  # type: ignore[attr-defined]
            if self.dryrun and message not in COARSE:
                _print(f"would do: {message}")
        elif event == LogEvent.RUN_INFO and not self.counted:
            self.counted = True
            _print(_counts(record.stats))  # type: ignore[attr-defined]
        elif event == LogEvent.JOB_FINISHED:
            self.finished.append(self.messages.get(_job(record), ""))
        elif event == LogEvent.PROGRESS:
            self._progress(record.done, record.total)  # type: ignore[attr-defined]
        elif event == LogEvent.JOB_ERROR:
            self._failed(record)
        elif record.getMessage().startswith("Nothing to be done"):
            _print("Nothing to be done: all that was asked for is there and up to date.")
        elif record.levelno >= ERROR and (text := _text(record)):
            _print(text)

    def _progress(self, done: int, total: int) -> None:
        spent = time.monotonic() - self.started
        left = f", {_clock(spent / done * (total - done))} left" if 0 < done < total else ""
        for message in self.finished:
            if message and message not in COARSE:
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


def _counts(stats: dict[str, int]) -> str:
    """Return how many jobs there are, as ``3 jobs: train 2, report 1``."""
    jobs = {rule: count for rule, count in stats.items() if rule not in (*COARSE, "total")}
    return f"{stats['total']} jobs: {', '.join(f'{rule} {count}' for rule, count in jobs.items())}"


def _text(record: LogRecord) -> str:
    """Return what an error says, with the remedy where Snakemake's own is hard to find."""
    kind, text = str(getattr(record, "exception", None) or ""), record.getMessage()
    text = text if text.startswith(kind) else f"{kind} {text}"
    if "CalledProcessError" in text:  # bad input and Ctrl-C stand in the job's log; a kill does not
        ending = text.rpartition("' ")[2]
        return "" if ending.endswith(("exit status 2.", "exit status 130.")) else f"a job's command {ending}"
    if "At least one job did not complete" in text:
        return ""  # "failed" says which
    if "LockException" in text:
        return (
            "another snakemake works here, or one was killed; if none does, run: covidseg resume, or snakemake --unlock"
        )
    if "IncompleteFiles" in text:
        return "some files are of a job that was killed; run again with: --rerun-incomplete"
    return "" if text.endswith("None") else text


def _job(record: LogRecord) -> Any:
    job = getattr(record, "job_id", None)  # the target's is 0
    return getattr(record, "jobid", None) if job is None else job


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def _print(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
