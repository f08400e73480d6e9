"""How long the rest of a workflow may take: from finished jobs of each rule, and from the epochs of running ones."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

EPOCH = re.compile(r"epoch (\d+)/(\d+)")
TAIL = 4096  # bytes of a log in which its last epoch stands


@dataclass
class Running:
    """A job that runs, or waits in a queue: what it is, its log, and the first epoch that was seen and when."""

    what: str
    rule: str
    log: Path | None
    since: float
    first: tuple[float, float] | None = None  # time, share of its epochs
    said: str = ""

    def look(self, now: float) -> float | None:
        """Return the seconds that the job may still take by the epochs in its log; None where that is not known."""
        found = EPOCH.findall(_tail(self.log)) if self.log else []
        if not found or not int(found[-1][1]):
            return None
        done, total = map(int, found[-1])
        share = done / total
        self.said = f"epoch {done}/{total}"
        if self.first is None:
            self.first = (now, share)
        then, before = self.first if share > self.first[1] else (self.since, 0.0)
        return (now - then) * (1 - share) / (share - before) if share > before else None


class Estimate:
    """The jobs of a workflow: how many of each rule, which are done and how long they took, which run."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self.took: dict[str, list[float]] = {}
        self.running: dict[int, Running] = {}

    def begin(self, job: int, running: Running) -> None:
        self.running[job] = running

    def end(self, job: int, now: float) -> None:
        if job in self.running:
            ended = self.running.pop(job)
            self.took.setdefault(ended.rule, []).append(now - ended.since)

    def left(self, now: float, spent: float) -> float | None:
        """Return the seconds that all that is left may take; None before anything is known."""
        all_took = [seconds for each in self.took.values() for seconds in each]
        known = {rule: sum(each) / len(each) for rule, each in self.took.items()}
        running: dict[str, int] = {}
        rest = worked = 0.0
        for job in self.running.values():
            running[job.rule] = running.get(job.rule, 0) + 1
            left = job.look(now)
            if left is not None:
                known.setdefault(job.rule, now - job.since + left)
            worked += now - job.since
            rest += left if left is not None else max(known.get(job.rule, 0.0) - (now - job.since), 0.0)
        if not known:
            return None
        mean = sum(all_took) / len(all_took) if all_took else sum(known.values()) / len(known)
        for rule, count in self.counts.items():
            waiting = count - len(self.took.get(rule, ())) - running.get(rule, 0)
            rest += max(waiting, 0) * known.get(rule, mean)
        beside = max((worked + sum(all_took)) / spent, 1.0) if spent else 1.0  # jobs that ran side by side
        return rest / beside


def _tail(path: Path) -> str:
    try:
        with open(path, "rb") as file:
            file.seek(0, 2)
            file.seek(max(file.tell() - TAIL, 0))
            return file.read().decode("utf-8", "replace")
    except OSError:
        return ""
