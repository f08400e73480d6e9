"""Which GPUs a job may use: counted and leased, without importing torch.

Concurrent jobs must not share a device, and a scheduler's ``gpu=2`` is only a count. So each job locks a file per
device before torch starts. The operating system releases the lock when the process ends, however that happens.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import importlib.metadata
import itertools
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from covidseg.base.errors import UserError
from covidseg.base.files import need_regular

DRIVER = Path("/dev")  # nvidiactl and one nvidia<k> per device, in containers only those that may be used
HIDDEN = "CUDA_VISIBLE_DEVICES"
POLL = 0.2  # seconds between two looks at devices that others hold


def devices(asked: int = 0) -> list[str]:
    """Return the names of the GPUs that this process may use, as CUDA_VISIBLE_DEVICES would name them.

    With a driver these are the devices of CUDA_VISIBLE_DEVICES or of the Slurm job; without either, all. A Slurm job
    that was given no GPU has none, unless ``asked`` is above 0: then the cluster does not count its GPUs. Where devices
    cannot be detected, the variable COVIDSEG_GPUS names them, as ``0,1``. A torch without CUDA has none.
    """
    known = os.environ.get("COVIDSEG_GPUS")
    if known is not None:
        found = _listed(known)
    elif (DRIVER / "nvidiactl").exists() and not importlib.metadata.version("torch").endswith("+cpu"):
        found = [str(k) for k in range(len(list(DRIVER.glob("nvidia[0-9]*"))))]
    else:
        found = []
    given = _given()
    if given is None and _slurm_job() and not asked:
        return []
    return _listed(given) if given is not None and found else found


def _given() -> str | None:
    """Return the list of devices to which this process is restricted."""
    return os.environ.get(HIDDEN, os.environ.get("SLURM_JOB_GPUS"))


def _listed(names: str) -> list[str]:
    """Return the names in a list like CUDA's, which ends before the first that is no device."""
    out: list[str] = []
    for name in (part.strip() for part in names.split(",")):
        if not name or name.startswith("-") or name == "NoDevFiles":
            break
        out.append(name)
    return list(dict.fromkeys(out))


def asks_for_gpu(device: str) -> bool:
    """Return whether jobs with a network ask for a GPU: when told to, or when there is one here."""
    return device == "cuda" or (device == "auto" and bool(devices()))


def gpus(device: str) -> int:
    """Return the GPUs that one job with a network asks for: none on a machine without, so that none waits for one."""
    return int(asks_for_gpu(device))


@contextlib.contextmanager
def lease(device: str, count: int, say: Callable[[str], None]) -> Iterator[list[str]]:
    """Hold ``count`` GPUs that no other job of this user holds; yield their names and hide the others from torch.

    ``count`` 0 means one GPU if there is any. Must be entered before CUDA starts. While all GPUs are held, it waits in
    a queue and says so once. Without a GPU, and with ``device`` cpu, it holds none and never waits. Raises UserError
    when more GPUs are requested than exist.
    """
    there = devices(count) if device != "cpu" else []
    if count > len(there) > 0:
        raise UserError(f"{count} GPUs requested for one job, {len(there)} here ({', '.join(there)}); ask for fewer")
    with contextlib.ExitStack() as held:
        names = _take(there, count or 1, held, say) if there else []
        if names or _slurm_job():  # elsewhere, a GPU that we cannot see is left to torch
            held.callback(_show, os.environ.get(HIDDEN))
            _show(",".join(names))
        yield names


def _slurm_job() -> str | None:
    return os.environ.get("SLURM_JOB_ID")


def _show(names: str | None) -> None:
    if names is None:
        os.environ.pop(HIDDEN, None)
    else:
        os.environ[HIDDEN] = names


def _take(there: list[str], count: int, held: contextlib.ExitStack, say: Callable[[str], None]) -> list[str]:
    """Lock ``count`` of the devices in ``there``.

    There is a first-in-first-out queue per set of devices: only the first job in it tries, so a job that needs two
    devices is not starved by jobs that need one. Acquisition is all-or-nothing, which rules out deadlock.
    """
    folder = _folder()
    queue = hashlib.sha256(",".join(sorted(there)).encode()).hexdigest()[:16]
    waiting = iter(["", f"waiting for {count} of the GPUs {', '.join(there)}: other jobs hold them"])
    with contextlib.ExitStack() as line:
        while not _lock(folder / f"line-{queue}.lock", line):
            _pause(say, waiting)
        while True:
            with contextlib.ExitStack() as taken:
                locks = ((name, folder / f"{name.replace('/', '_')}.lock") for name in there)
                names = list(itertools.islice((name for name, path in locks if _lock(path, taken)), count))
                if len(names) == count:
                    held.push(taken.pop_all())
                    return names
            _pause(say, waiting)


def _lock(path: Path, held: contextlib.ExitStack) -> bool:
    """Try to lock a file until ``held`` is closed; return whether this succeeded."""
    need_regular(path)
    file = path.open("a", encoding="utf-8")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return False
    except OSError as e:
        raise UserError(f"{path}: cannot be locked ({e.strerror}); set TMPDIR to a folder on a local disk") from e
    held.callback(file.close)
    return True


def _pause(say: Callable[[str], None], texts: Iterator[str]) -> None:
    """Say the next text and wait a moment. The first text is empty, as the queue is often busy for a moment only."""
    if text := next(texts, ""):
        say(text)
    time.sleep(POLL)


def _folder() -> Path:
    """Return the folder of this user's locks. A Slurm job with devices of its own has one, as it may count from 0."""
    folder = Path(tempfile.gettempdir()) / f"covidseg-gpus-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.is_symlink() or folder.stat().st_uid != os.getuid():
        raise UserError(f"{folder}: belongs to someone else; remove it or set TMPDIR")
    if (job := _slurm_job()) and _given() is not None:
        folder /= f"slurm-{job}"
        folder.mkdir(exist_ok=True)
    return folder
