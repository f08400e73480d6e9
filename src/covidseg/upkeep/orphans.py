"""``covidseg resume``: wait for or cancel the jobs that a killed Snakemake left, then continue its work.

A killed Snakemake leaves a lock and jobs that still run, on this machine or in a cluster's queue. Unlocking while they
run would start each of them twice, and their outputs would not count as complete, because only Snakemake records that a
job has finished. So every Snakemake writes a note with its command and holds a lock on it while it lives. A Snakemake
that is started while jobs of a killed one are queued refuses to run. ``resume`` waits for those jobs or cancels them,
accepts what they finished, unlocks and repeats the command.
Jobs that a killed Snakemake left on this machine are dealt with alike; beside them a new Snakemake may start, because
no job runs twice at once, see ``jobs.locks``.
"""

from __future__ import annotations

import atexit
import base64
import contextlib
import fcntl
import hashlib
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from covidseg.base.errors import UserError
from covidseg.base.files import replacing, sweep
from covidseg.jobs import locks
from covidseg.plan import WORKFLOW, Plan, handover
from covidseg.schema import Config, parse
from covidseg.upkeep import folders

PREFIX = "covidseg"  # of our jobs' names: slurm-jobname-prefix in workflow/profiles/slurm
STATE = Path(".snakemake")
NOTES = STATE / "covidseg"
POLL = 5.0  # seconds between two looks at the queue
PATIENCE = 30.0  # seconds of waiting for a stopped process
WAYS = ("wait", "cancel")
_held: list[IO[str]] = []  # locks of this process's notes: freed when it ends


@dataclass(frozen=True)
class Job:
    """A job in the queue, or a process on this machine."""

    id: str
    state: str
    what: str
    queued: bool = True


# ---- in Snakemake


def begin(plan: Plan, slurm: bool, started_in: Path) -> None:
    """Note what this Snakemake was asked to make, and clear away what kills left; to be called before it starts jobs.

    Raises UserError while jobs of a killed one are in the queue, whether or not this one is to use ``slurm``, and where
    its own jobs there could not be told from others, because it was not ``started_in`` the folder it works in.
    """
    if slurm and started_in.resolve() != Path.cwd().resolve():
        raise UserError(f"{started_in}: jobs of this folder would not be found again; start Snakemake in {Path.cwd()}")
    there = notes()
    if not any(map(alive, there)):  # else the jobs in the queue are its own
        if (slurm or any(_read(note)["slurm"] for note in there)) and (left := queue()):
            raise UserError(
                f"{_count(left)} of a Snakemake that was killed; run: covidseg resume --orphans wait (or cancel)"
            )
        for note in there:
            note.unlink(missing_ok=True)
    for folder in (plan.paths.data, plan.paths.results):
        sweep(folder)
    note = NOTES / f"{platform.node()}-{os.getpid()}.json"
    facts = {
        "arguments": sys.argv[1:],
        "config": plan.config.model_dump(mode="json"),
        "identity": identity(),
        "slurm": slurm,
        "started": time.strftime("%Y-%m-%d %H:%M:%S"),
    }
    with replacing(note) as hidden:  # locked before others can see it
        hidden.chmod(0o600)  # a command may hold what others need not read
        hidden.write_text(json.dumps(facts, indent=2), "utf-8")
        file = hidden.open("a", encoding="utf-8")  # for writing: over NFS nothing else can be locked for one alone
        with contextlib.suppress(OSError):  # a file system without locks
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        _held.append(file)
    atexit.register(note.unlink, missing_ok=True)  # kill -9 leaves it


def _read(note: Path) -> dict[str, Any]:
    try:
        facts = dict(json.loads(note.read_text("utf-8")))
        parse(Config, facts["config"], "its configuration")
        return {key: facts[key] for key in ("arguments", "config", "identity", "slurm")}
    except (OSError, ValueError, KeyError, TypeError, RecursionError, UserError) as e:
        raise UserError(f"{note}: damaged ({e}); see that no job of it runs, then delete it") from e


def notes() -> list[Path]:
    """Return the notes of Snakemakes that run here or were killed here, oldest first."""
    return sorted((note for note in NOTES.glob("*.json") if note.is_file()), key=lambda note: note.stat().st_mtime)


def alive(note: Path) -> bool:
    """Return whether the Snakemake of a note still runs, on this machine or, by the lock of its note, on another.

    Without file locks the process list decides; a Snakemake of another machine then counts as running.
    """
    try:
        with note.open(encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:  # it ended in between
        return False
    except OSError:
        node, _, process = note.stem.rpartition("-")
        return node != platform.node() or _runs(int(process))
    return False


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's
        pass
    return True


def _stopped(process: int) -> bool:
    """Return whether a process of this machine is stopped, as by Ctrl-Z: it would never end by itself."""
    try:
        state = Path(f"/proc/{process}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()[0]
    except (OSError, IndexError):  # it has ended, or there is no /proc
        return False
    return state in ("T", "t")


def identity() -> str:
    """Return a hash of all files that decide what jobs make: results of jobs that ran before a change are not taken."""
    found = hashlib.sha256()
    for folder, kinds in (
        (WORKFLOW, ("*.yaml", "*.csv", "*.smk")),
        (Path(__file__).parents[1], ("*.py", "*.j2", "*.css")),
    ):
        for file in sorted(path for kind in kinds for path in folder.rglob(kind)):
            found.update(f"{file.relative_to(folder)} {hashlib.sha256(file.read_bytes()).hexdigest()}\n".encode())
    return found.hexdigest()


# ---- the queue


def jobs(slurm: bool) -> list[Job]:
    """Return our jobs of this folder in the queue, where ``slurm`` is used, and those that run on this machine."""
    here = [process for process in locks.processes() if process.workflow]
    return (queue() if slurm else []) + [
        Job(str(process.pid), "running here", process.what, queued=False) for process in here
    ]


def queue() -> list[Job]:
    """Return our jobs of this folder that wait or run in Slurm's queue; none where there is no Slurm.

    Raises UserError when Slurm does not answer: jobs may be there.
    """
    if shutil.which("squeue") is None:
        return []
    command = ["squeue", "--noheader", "--me", "--format", "%i|%T|%j|%k|%Z"]
    try:
        text = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    except (OSError, subprocess.SubprocessError) as e:
        raise UserError(f"squeue does not answer ({_reason(e)}): jobs may still run; try again when it does") from e
    here = Path.cwd().resolve()
    found = []
    for line in text.splitlines():
        number, state, name, comment, folder = (line.split("|", 4) + [""] * 4)[:5]  # a job of others may hold anything
        if name.startswith(f"{PREFIX}_") and Path(folder).resolve() == here:
            found.append(Job(number, state.lower(), comment.removeprefix("rule_").replace("_wildcards_", " ")))
    return found


def cancel(found: list[Job]) -> None:
    """Cancel jobs, and end processes."""
    if queued := [job.id for job in found if job.queued]:
        subprocess.run(["scancel", *queued], check=False, capture_output=True, timeout=60)
    for job in found:
        if not job.queued:
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(job.id), signal.SIGKILL)


def _reason(error: Exception) -> str:
    text = getattr(error, "stderr", None) or str(error)
    return " ".join(str(text).split())[:120]


def _count(found: list[Job]) -> str:
    where = "in the queue" if all(job.queued for job in found) else "running"
    return f"{len(found)} {'job is' if len(found) == 1 else 'jobs are'} still {where}"


# ---- covidseg resume


def resume(way: str | None, say: Callable[[str], None]) -> int:
    """Deal with the jobs of killed Snakemakes, unlock, and repeat what those were asked.

    Returns an exit code where it does not become that Snakemake, see ``_repeat``.

    ``way``: wait for the jobs, or cancel them; None where there must be none. Raises UserError when there are some, or
    when a Snakemake still runs here.
    """
    if way not in (None, *WAYS):
        raise UserError(f"--orphans: unknown value {way!r}; legal: {', '.join(WAYS)}")
    folders.check()
    living = [note for note in notes() if alive(note)]
    if living:
        raise UserError(f"a Snakemake still runs here ({living[0].stem}); stop it first, or leave it to its work")
    if not notes():
        raise UserError("no Snakemake was killed here; run snakemake")
    facts: list[dict[str, Any]] = [_read(note) for note in notes()]
    since = min(note.stat().st_mtime for note in notes())
    slurm = any(fact["slurm"] for fact in facts)
    if left := jobs(slurm):
        for job in left:
            say(f"{job.id} {job.state}: {job.what}")
        if way is None:
            raise UserError(f"{_count(left)}; say --orphans wait or --orphans cancel")
        _clear(left, way, say, slurm)
    configs = [fact["config"] for k, fact in enumerate(facts) if fact["config"] not in [f["config"] for f in facts[:k]]]
    _snakemake("--unlock", config=configs[-1])
    if all(fact["identity"] == identity() for fact in facts):
        for config in configs:
            _take_over(config, since, say)
    else:
        say("settings or code changed since: what the jobs made is made again")
    return _repeat(list(dict.fromkeys(tuple(fact["arguments"]) for fact in facts)), say)


def _repeat(commands: list[tuple[str, ...]], say: Callable[[str], None]) -> int:
    """Run Snakemake with each command's arguments until one fails; return the exit code.

    This process becomes the last one, so that Ctrl-C and kill do to it what they do to any Snakemake.
    """
    for number, arguments in enumerate(commands, 1):
        say(f"snakemake {' '.join(arguments)}")
        command = [sys.executable, "-m", "snakemake", "--rerun-incomplete", *arguments]
        if number == len(commands):
            sys.stdout.flush()
            os.execv(command[0], command)
        if done := subprocess.run(command).returncode:
            return done
    return 0


def _clear(left: list[Job], way: str, say: Callable[[str], None], slurm: bool) -> None:
    """Wait until no job is left, having cancelled them where asked to."""
    if way == "cancel":
        cancel(left)
    say(f"waiting for {len(left)} job{'s' * (len(left) > 1)} to {'end' if way == 'cancel' else 'finish'}")
    since = time.monotonic()
    while left:
        if not (halted := [job for job in left if not job.queued and _stopped(int(job.id))]):
            since = time.monotonic()
        elif time.monotonic() - since > PATIENCE:
            raise UserError(
                f"process {halted[0].id} ({halted[0].what}) is stopped; continue it by kill -CONT {halted[0].id}, or "
                "run: covidseg resume --orphans cancel"
            )
        time.sleep(POLL if slurm else POLL / 10)
        before, left = left, jobs(slurm)
        for job in before:
            if job.id not in {other.id for other in left}:
                say(f"{job.id} has ended: {job.what}")


def _take_over(config: dict[str, Any], since: float, say: Callable[[str], None]) -> None:
    """Let Snakemake accept what jobs that ended well made after ``since`` by a configuration."""
    lines = _snakemake("--summary", "--rerun-incomplete", config=config).splitlines()
    rows = [line.split("\t") for line in lines[1:]]
    if whole := _finished([(row[0], row[2]) for row in rows], since):
        _snakemake("--touch", "--rerun-incomplete", "--quiet", "all", "--", *whole, config=config)
        say(f"taken over: {len(whole)} files of jobs that ended well, whether or not Snakemake saw it")


def _finished(outputs: list[tuple[str, str]], since: float) -> list[str]:
    """Return the outputs, given with their rules, that are of jobs which ended well after ``since``.

    Snakemake removes outputs before a job starts, marks them, and takes the mark away when it sees the job end, on a
    cluster in the job itself. A marked one may be of a job that nobody saw end: as files appear whole, such a job ended
    well if all that it makes is there. The outputs of one job lie in one folder.
    """
    marked = incomplete(STATE)
    new = {file for file, _ in outputs if Path(file).is_file() and Path(file).stat().st_mtime >= since}
    jobs: dict[tuple[str, Path], set[str]] = defaultdict(set)
    for file, rule in outputs:
        jobs[rule, Path(file).parent].add(file)

    def whole(file: str, rule: str) -> bool:
        return file not in marked or jobs[rule, Path(file).parent] <= new

    return [file for file, rule in outputs if file in new and whole(file, rule)]


def incomplete(state: Path) -> set[str]:
    """Return the files that Snakemake marked in its folder: outputs of jobs that started and did not end well."""
    marked, folder = set(), state / "incomplete"
    for mark in folder.rglob("*"):
        with contextlib.suppress(ValueError):  # a folder: long names are cut in pieces
            name = "".join(part.removeprefix("@") for part in mark.relative_to(folder).parts)
            marked.add(base64.urlsafe_b64decode(name).decode())
    return marked


def _snakemake(*arguments: str, config: dict[str, Any]) -> str:
    """Run Snakemake with a configuration to look or to note, never to make; return what it prints."""
    command = [sys.executable, "-m", "snakemake", "--cores", "1", "--no-hooks", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=handover.environment(config))
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise UserError(f"snakemake {arguments[0]} failed: {last}")
    return done.stdout
