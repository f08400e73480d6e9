"""Which jobs run on this machine, and that none of them runs twice at once.

A job outlives a Snakemake, or a shell, that is killed. Beside the job that repeats it, it would take away what that
one has just made. So a verb that makes something holds a file lock for as long as its process lives, and a second one
of the same name waits for it. Jobs that a scheduler runs for Snakemake hold none: its queue knows them, and a node that
hangs would hold them up. What runs by hand or for a Snakemake of one machine does, within an allocation too.
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
    """A process that makes something: what, for a workflow or for a person, and where it runs."""

    what: str
    workflow: bool
    pid: int
    node: str


def alone(what: str, where: str, workflow: bool, say: Callable[[str], None]) -> None:
    """Hold the lock of the job ``what`` on the folders ``where`` until this process ends.

    While another process holds it, says so once and waits.
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
