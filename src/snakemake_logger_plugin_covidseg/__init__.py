"""A quiet log for Snakemake: one line per finished job, with how far the whole run is and how long it may still take.

Used as ``snakemake --logger covidseg``. A dry run lists the jobs; errors show the failed job's log. While long
trainings run, a line every minute says in which epochs they are, as their logs have it.
"""

from __future__ import annotations

import sys
import threading
import time
from logging import ERROR, LogRecord
from pathlib import Path
from typing import Any

from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.common import LogEvent

from covidseg.base.errors import INTERRUPTED
from snakemake_logger_plugin_covidseg.estimate import Estimate, Running

LOG_LINES = 20  # of a failed job's log
EVERY = 60.0  # seconds without a finished job after which it is said what the running ones do
SHOWN = 4  # running jobs in such a line
COARSE = ("all", "data", "models")  # the rules that make nothing themselves


class LogHandler(LogHandlerBase):
    """Print what finished, not how it was called."""

    def __post_init__(self) -> None:
        self.started = time.monotonic()
        self.messages: dict[int, str] = {}
        self.finished: list[str] = []
        self.counted = False
        self.dryrun = self.common_settings.dryrun
        self.estimate = Estimate()
        self.progress, self.said = (0, 0), self.started
        if not self.dryrun:
            threading.Thread(target=self._watch, daemon=True).start()

    def emit(self, record: LogRecord) -> None:
        event = getattr(record, "event", None)
        if event == LogEvent.JOB_INFO:
            message = record.rule_msg or record.rule_name  # type: ignore[attr-defined]
            self.messages[record.jobid] = message  # type: ignore[attr-defined]
            if message not in COARSE:
                log = next(iter(getattr(record, "log", None) or []), None)
                running = Running(message, record.rule_name, log and Path(str(log)), time.monotonic())  # type: ignore[attr-defined]
                self.estimate.begin(record.jobid, running)  # type: ignore[attr-defined]
            if self.dryrun and message not in COARSE:
                _print(f"would do: {message}")
        elif event == LogEvent.RUN_INFO and not self.counted:
            self.counted = True
            stats = record.stats  # type: ignore[attr-defined]
            self.estimate.counts = {rule: n for rule, n in stats.items() if rule not in (*COARSE, "total")}
            _print(_counts(stats))
        elif event == LogEvent.JOB_FINISHED:
            self.finished.append(self.messages.get(_job(record), ""))
            self.estimate.end(_job(record), time.monotonic())
        elif event == LogEvent.PROGRESS:
            self._progress(record.done, record.total)  # type: ignore[attr-defined]
        elif event == LogEvent.JOB_ERROR:
            self._failed(record)
        elif record.getMessage().startswith("Nothing to be done"):
            _print("Nothing to be done: all that was asked for is there and up to date.")
        elif record.levelno >= ERROR and (text := _text(record)):
            _print(text)

    def _progress(self, done: int, total: int) -> None:
        self.progress = (done, total)
        for message in self.finished:
            if message and message not in COARSE:
                self._line(message)
        self.finished.clear()

    def _line(self, message: str) -> None:
        """Print how far the workflow is, and a message."""
        now, (done, total) = time.monotonic(), self.progress
        spent = now - self.started
        left = self.estimate.left(now, spent) if done < total else None
        said = f"{_clock(spent)}{'' if left is None else f', {_clock(left)} left'}"
        _print(f"[{done:>{len(str(total))}}/{total}] {100 * done // total if total else 0:3d} %  {said}  {message}")
        self.said = now

    def _watch(self) -> None:
        while True:
            time.sleep(EVERY / 4)
            if time.monotonic() - self.said >= EVERY:
                self.tell()

    def tell(self) -> None:
        """Print the epochs of the running jobs, where their logs say them."""
        jobs = list(self.estimate.running.values())
        for job in jobs:
            job.look(time.monotonic())
        if said := [f"{job.what}, {job.said}" for job in jobs if job.said]:
            more = f"; and {len(said) - SHOWN} more" if len(said) > SHOWN else ""
            self._line(f"running: {'; '.join(said[:SHOWN])}{more}")

    def _failed(self, record: LogRecord) -> None:
        what = self.messages.get(_job(record), getattr(record, "rule_name", "a job"))
        self.estimate.running.pop(_job(record), None)
        logs = [path for log in getattr(record, "log", None) or [] if (path := Path(str(log))).is_file()]
        if any(INTERRUPTED in path.read_text(errors="replace").splitlines()[-1:] for path in logs):
            _print(f"stopped: {what}")
            return
        _print(f"failed: {what}")
        for path in logs:
            lines = path.read_text(errors="replace").splitlines()[-LOG_LINES:]
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
    if "At least one job did not complete" in text or "a job execution failed" in text:
        return ""  # "failed" or "stopped" says which
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
