"""Locks that keep a job from running twice at once, and the list of jobs that run on this machine.

A job survives a Snakemake, or a shell, that is killed. If the same job were started again beside it, each would
remove the other's output. So a verb that makes something holds a file lock while its process lives, and a second
process with the same job waits. Jobs that a batch system runs for Snakemake hold no lock: the queue knows them, and a
node that hangs would block them. Jobs started by hand, or by Snakemake on one machine, do, also within an allocation.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import hashlib
import json
import os
import platform
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

from covidseg.base.files import clear_when_full, need_regular

FOLDER = Path(".snakemake/covidseg/jobs")
QUEUED = "COVIDSEG_QUEUED"  # set for jobs that came through a queue, by workflow/rules/common.smk
_held: list[IO[str]] = []  # freed when this process ends, however that happens


@dataclass(frozen=True)
class Process:
    """A running job: what it makes, whether a workflow started it, its process id and node."""

    what: str
    workflow: bool
    pid: int
    node: str


def alone(what: str, where: str, workflow: bool, say: Callable[[str], None]) -> None:
    """Hold the lock of the job ``what`` on the folders ``where`` until this process ends.

    If another process holds it, say so once and wait.
    """
    if os.environ.get(QUEUED):
        return
    path = FOLDER / f"{hashlib.sha256(f'{where} {what}'.encode()).hexdigest()[:16]}.json"
    with clear_when_full(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        while (file := _lock(path, say)) is None:
            pass
        file.truncate(0)
        file.write(json.dumps(asdict(Process(what, workflow, os.getpid(), platform.node()))))
        file.flush()
    _held.append(file)
    atexit.register(path.unlink, missing_ok=True)  # kill -9 leaves it, unlocked


def _lock(path: Path, say: Callable[[str], None]) -> IO[str] | None:
    """Open and lock a file; None when its last holder has removed it meanwhile.

    Raises UserError where something else stands in its place.
    """
    need_regular(path)
    file = path.open("a", encoding="utf-8")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        say("waiting: another process makes this; it was left behind by what was killed, or started by hand")
        fcntl.flock(file, fcntl.LOCK_EX)
    except OSError:  # a file system without locks
        return file
    with contextlib.suppress(FileNotFoundError):
        if os.fstat(file.fileno()).st_ino == path.stat().st_ino:
            return file
    file.close()
    return None


def processes() -> list[Process]:
    """Return the jobs that run on this machine in this folder."""
    found = []
    for path in sorted(path for path in FOLDER.glob("*.json") if path.is_file()):
        with contextlib.suppress(OSError, ValueError, TypeError), path.open(encoding="utf-8") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                found.append(Process(**json.loads(file.read())))
    return [process for process in found if process.node == platform.node()]
