"""Kill storm: a small demo, whose jobs and Snakemake are killed at random, ends in an undisturbed run's bytes.

    python benchmarks/storm.py [--kills 60] [--snakemakes 6] [--jobs 8] [--seed 0]

The demo, of plain trainings on two folds and one in rounds, runs three times: with one job at a time, with ``--jobs``
at once, and in the storm, which ends jobs with kill -9: at random moments, or as soon as they are seen writing a file;
the process, or the shell above it, whose process then goes on beside the job that repeats it. Snakemake is killed too;
then ``covidseg resume`` goes on, or another Snakemake starts beside the jobs it left. Once the disk is full: the
project lies on a small file system that is then filled, or, where none can be mounted, files may not grow beyond a
limit. Last, a download is cut.

All the while every file under a final name must be whole: the undisturbed run's bytes. In the end all are compared,
except what says when and how fast (in records, the report and the logs).
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import http.server
import json
import os
import random
import resource
import select
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from covidseg.upkeep.orphans import STATE, incomplete  # noqa: E402
from tests.conftest import Project, small_project  # noqa: E402

RUNS = "[ssanet/m1, ssanet/m3, ssanet/d3-r, ssanet/s4]"
LOOK = 0.02  # seconds between two looks at the processes
SHELLS, WRITING = 0.2, 0.5  # shares of kills that meet the shell above a job, and jobs that write
LIMIT = 64 << 10  # bytes a file may have where no file system can be filled
DISK = 400 << 20  # bytes of the one that is filled
MADE = ("data/demo", "results/demo")
TIMES = {
    *("finished", "seconds", "wall_seconds", "slices_per_second", "peak_memory_mb"),
    "record_sha256",  # which is over the others, too
    *("resumed", "notes"),  # that a training went on after a kill is noted
}
RECORDS = ("run.json", "stage.json")
NOT_COMPARED = ("logs", "configs", "report", "report.html", "report.json")  # the report shows times
TRANSIENT = ("resume.pt", "done.jsonl")  # a killed job goes on from them; both say whether they are whole
RECORD_OF = {
    **dict.fromkeys(("slices.h5", "canonical/slices.csv"), "import.json"),
    **dict.fromkeys(("image.npy", "lung.npy", "label.npy", "tensors/slices.csv"), "tensors.json"),
    **dict.fromkeys(("model.safetensors", "history.csv", "predictions.h5"), "run.json"),
    "lungs.h5": "lungs.json",
    "cases.csv": "summary.json",
}


class BrokenPromiseError(Exception):
    """A promise that did not hold."""


# ---- files


def visible(project: Path) -> Iterator[str]:
    """Yield what was made under final names, relative to the project, less what is not compared."""

    def shown(names: list[str]) -> list[str]:
        return [name for name in names if not name.startswith(".") and name not in NOT_COMPARED]

    for made in MADE:
        for folder, folders, names in os.walk(project / made):
            folders[:] = shown(folders)
            for name in shown(names):
                yield os.path.relpath(os.path.join(folder, name), project)


def content(path: Path) -> str:
    """Return a hash of a file; of a record, without what says when and how fast."""
    data = path.read_bytes()
    if path.name in RECORDS:
        data = json.dumps(_timeless(json.loads(data)), sort_keys=True).encode()
    return hashlib.sha256(data).hexdigest()


def _timeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _timeless(inner) for key, inner in value.items() if key not in TIMES}
    return [_timeless(inner) for inner in value] if isinstance(value, list) else value


class Whole:
    """What the undisturbed run made; tells whether another project's files are whole."""

    def __init__(self, reference: Path) -> None:
        self.expected = {file: content(reference / file) for file in visible(reference)}
        self._seen: dict[tuple[str, int, int, int], str] = {}
        self.looks = 0

    def look(self, project: Path) -> None:
        """Raise BrokenPromiseError for a file under a final name that is not the undisturbed run's."""
        self.looks += 1
        for file in visible(project):
            if Path(file).name in TRANSIENT:
                continue
            path = project / file
            with contextlib.suppress(FileNotFoundError):  # made anew meanwhile
                if file not in self.expected:
                    path.stat()
                    raise BrokenPromiseError(f"{file}: the undisturbed run has no such file")
                about = path.stat()
                key = (file, about.st_ino, about.st_size, about.st_mtime_ns)
                if key not in self._seen:
                    try:
                        self._seen[key] = content(path)
                    except ValueError as e:
                        raise BrokenPromiseError(f"{file}: not a whole record ({e})") from e
                if self._seen[key] != self.expected[file]:
                    raise BrokenPromiseError(f"{file}: not what the undisturbed run made ({about.st_size} bytes)")

    def compare(self, project: Path) -> int:
        """Check that a finished project has all files with the same content; return how many."""
        self.look(project)
        if missing := {*self.expected} - {*visible(project)}:
            raise BrokenPromiseError(f"{min(missing)}: missing, with {len(missing) - 1} others")
        return len(self.expected)


def unrecorded(project: Path) -> list[str]:
    """Return outputs without the record that says that they are done, unless Snakemake knows them as incomplete."""
    marked, found = incomplete(project / STATE), []
    for file in visible(project):
        path = Path(file)
        record = RECORD_OF.get(path.name) or RECORD_OF.get(f"{path.parts[2]}/{path.name}")
        if record and "stages" not in path.parts and not (project / path.with_name(record)).exists():
            found.append(file)
    return [file for file in found if file not in marked]


def hidden(project: Path) -> list[Path]:
    """Return temporary files that kills left behind."""
    found = [path for made in MADE for path in (project / made).rglob("*") if path.is_file()]
    return [path for path in found if any(part.startswith(".") for part in path.relative_to(project).parts)]


# ---- processes


def below(pid: int) -> list[int]:
    """Return the processes below one, as the kernel knows them."""
    found: list[int] = []
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in map(int, (task / "children").read_text().split()):
                found += [child, *below(child)]
    return found


def command(pid: int) -> list[str]:
    """Return a process's command line; empty when it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")[:-1]
    except OSError:
        return []


class Handle:
    """One process below our Snakemake, held so that its number cannot come to mean another."""

    def __init__(self, pid: int, top: int) -> None:
        self.pid, self.fd = pid, os.pidfd_open(pid)
        if pid not in below(top):
            os.close(self.fd)
            raise ProcessLookupError(pid)

    def alive(self) -> bool:
        return not select.select([self.fd], [], [], 0)[0]

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.fd, signal.SIGKILL)


class Job:
    """A job's process and the shell above it."""

    def __init__(self, name: str, shell: int, process: int, top: int) -> None:
        self.name, self.began = name, time.monotonic()
        self.shell, self.process = Handle(shell, top), Handle(process, top)
        self.dies: float | None = None  # at this age
        self.how = "process"
        self.struck = False


def jobs_below(top: int) -> dict[int, tuple[str, int]]:
    """Return process -> (job, its shell) of the verbs that run below a process."""
    found = {}
    for shell in below(top):
        if Path(next(iter(command(shell)), "")).name in ("bash", "sh"):
            for process in below(shell):
                words = command(process)
                if words[1:4] == ["-m", "covidseg", "--config"]:
                    found[process] = (_name(words[5:]), shell)
    return found


def writes(process: int, project: Path) -> bool:
    """Return whether a process has a file of the project open that is not yet under its final name."""
    with contextlib.suppress(OSError):
        for fd in os.listdir(f"/proc/{process}/fd"):
            with contextlib.suppress(OSError):
                open_file = Path(os.readlink(f"/proc/{process}/fd/{fd}"))
                if open_file.is_relative_to(project) and "/." in str(open_file.relative_to(project)):
                    return True
    return False


def _name(words: list[str]) -> str:
    return " ".join(words[: words.index("--gpus")] if "--gpus" in words else words)


def durations(project: Path) -> dict[str, float]:
    """Return job -> seconds, from Snakemake's records of a finished project."""
    found = {}
    for path in (project / ".snakemake/metadata").rglob("*"):
        if path.is_file():
            facts = json.loads(path.read_text())
            words = shlex.split(str(facts["shellcmd"]).partition(" 2> ")[0])
            found[_name(words[1:])] = facts["endtime"] - facts["starttime"]
    return found


# ---- the storm


class Storm:
    """Runs a project's demo to its end and kills meanwhile."""

    def __init__(
        self,
        project: Project,
        whole: Whole,
        seconds: dict[str, float],
        at_once: int,
        seed: int,
        log: Path,
        again: tuple[str, ...] = MADE,
    ) -> None:
        self.project, self.whole, self.at_once = project, whole, at_once
        self.again = again  # what is removed where all is made before all harm is done
        self.seconds = seconds  # of each job, at most
        self.random = random.Random(seed)
        self.left: Counter[str] = Counter()  # kills that each job has before it
        self.done: set[str] = set()
        self.starts: Counter[str] = Counter()
        self.kills: Counter[str] = Counter()
        self.how: dict[str, Counter[str]] = {how: Counter() for how in ("process", "writing", "shell")}
        self.snakemakes = self.invocations = 0
        self.ways: Counter[str] = Counter()
        self.known: list[Job] = []  # running, or left behind
        self.full = "not filled"
        self.log = log

    def run(self, kills: int, snakemakes: int, fill: bool, limit: float = 3600) -> None:
        """Run until the demo is finished and ``kills`` jobs were killed; raises BrokenPromiseError."""
        self.deadline = time.monotonic() + limit
        verbs = {name.split()[0]: name for name in self.random.sample(sorted(self.seconds), len(self.seconds))}
        self.left.update(verbs.values())  # each kind of job once
        self.left.update(self.random.choices(sorted(self.seconds), k=max(0, kills - len(verbs))))
        at = [round(kills * (k + 1) / (snakemakes + 1)) for k in range(snakemakes)]
        filling = round(kills * 0.6) if fill else None
        was_killed = False
        with open(self.log, "w") as log:
            try:
                while True:
                    limited = filling is not None and self.kills.total() >= filling
                    code, was_killed = self._invoke(log, was_killed, at, limited)
                    if limited and code:  # it hindered somebody
                        filling = None
                    if code == 0 and not limited and not at and filling is None and self.kills.total() >= kills:
                        break
                    if code == 0 and not limited:  # all is made, and not all harm is done: once more
                        self._quiet()
                        forget(self.project, self.again)
                        self.done.clear()
                        self.left.update(self.random.choices(sorted(self.seconds), k=kills - self.kills.total() + 5))
                self._quiet()
            finally:
                for job in self.known:
                    for handle in (job.shell, job.process):
                        handle.kill()

    def _invoke(self, log: Any, was_killed: bool, at: list[int], limited: bool) -> tuple[int | None, bool]:
        """Start Snakemake, kill below it until it ends; return its exit code, and whether it was killed."""
        self.invocations += 1
        make = ["snakemake", "--workflow-profile", "workflow/profiles/default", "--cores", str(self.at_once)]
        make += ["--keep-going", "--retries", "0" if limited else "2"]
        if was_killed:
            way = self.random.choice(["resume --orphans wait", "resume --orphans cancel", "beside what it left"])
            self.ways[way] += 1
            if way.startswith("resume"):
                make = ["covidseg", *way.split()]
            else:
                subprocess.run(
                    ["snakemake", "--unlock"],
                    cwd=self.project.folder, env=self.project.environment, stdout=log, stderr=log, check=True,
                )  # fmt: skip
        say(f"{self.kills.total()} kills; {' '.join(make)}", log)
        with contextlib.ExitStack() as stack:
            limit = stack.enter_context(self._full_disk()) if limited else None
            top = subprocess.Popen(
                make, cwd=self.project.folder, env=self.project.environment, stdout=log, stderr=subprocess.STDOUT,
                start_new_session=True,
            )  # fmt: skip
            if limit:
                resource.prlimit(top.pid, resource.RLIMIT_FSIZE, (limit, limit))
            try:
                while top.poll() is None:
                    if time.monotonic() > self.deadline:
                        raise BrokenPromiseError(f"not done in time; see {self.log}")
                    self._meet(top.pid)
                    if not limited:
                        self._strike_aged()
                    if at and not limited and self.kills.total() >= at[0] and self._behead(top):
                        at.pop(0)
                        break
                    self._wait()
                else:
                    self._ended()
                    return top.wait(), was_killed and make[0] == "covidseg" and top.returncode == 2  # it refused
            finally:
                if top.poll() is None:
                    self._meet(top.pid)
                    top.kill()
                top.wait()
        self.whole.look(self.project.folder)
        return None, True

    def _meet(self, top: int) -> None:
        """Get to know new jobs, and forget those that have ended."""
        there = jobs_below(top)
        for job in [job for job in self.known if not job.process.alive()]:
            self.known.remove(job)
            os.close(job.shell.fd)
            os.close(job.process.fd)
            if not job.struck:
                self._pass_on(job.name)
        for process, (name, shell) in there.items():
            if process not in {job.process.pid for job in self.known}:
                with contextlib.suppress(OSError):
                    job = Job(name, shell, process, top)
                    self.known.append(job)
                    self.starts[name] += name in self.seconds
                    if self.left[name]:
                        job.dies = self.random.uniform(0.02, 1) * self.seconds[name]
                        rest = 1 - SHELLS - WRITING
                        job.how = self.random.choices(("process", "writing", "shell"), (rest, WRITING, SHELLS))[0]

    def _pass_on(self, name: str) -> None:
        """Give the kills that an ended job still had before it to jobs that are still to run."""
        self.done.add(name)
        others = [other for other in self.seconds if other not in self.done]
        if others and self.left[name]:
            self.left.update(self.random.choices(others, k=self.left.pop(name)))

    def _strike_aged(self) -> None:
        """Kill jobs that are as old as they may become."""
        now = time.monotonic()
        for job in self.known:
            if job.dies is not None and job.how != "writing" and now - job.began >= job.dies:
                self._strike(job)

    def _wait(self) -> None:
        """Wait until the next look at the processes; meanwhile kill what writes, where it is to be killed so."""
        end = time.monotonic() + LOOK
        writing = [job for job in self.known if job.dies is not None and job.how == "writing"]
        while (now := time.monotonic()) < end:
            for job in writing:
                if job.dies is not None and writes(job.process.pid, self.project.folder):
                    self._strike(job)
            time.sleep(LOOK / 50 if writing else end - now)

    def _strike(self, job: Job) -> None:
        job.dies = None
        target = job.shell if job.how == "shell" else job.process
        if target.alive() and job.shell.alive():  # else its Snakemake was killed, and it is left to itself
            target.kill()
            job.struck = True
            self.left[job.name] -= 1
            self.kills[job.name] += 1
            self.how[job.how][job.name] += 1
            self.whole.look(self.project.folder)

    def _behead(self, top: subprocess.Popen[bytes]) -> bool:
        """Kill the Snakemake that runs the jobs, and what started it; its jobs go on."""
        if not jobs_below(top.pid):
            return False
        inner = [Handle(pid, top.pid) for pid in below(top.pid) if command(pid)[1:3] == ["-m", "snakemake"]]
        for process in (top, *inner):  # covidseg resume starts one of its own
            process.kill()
        self.snakemakes += 1
        return True

    @contextlib.contextmanager
    def _full_disk(self) -> Iterator[int | None]:
        """Have no space while the next Snakemake runs; yield the size that files may have, where that stands in."""
        folder = self.project.folder
        if not os.path.ismount(folder.parent):
            self.full = f"stand-in: no file may grow beyond {LIMIT >> 10} KiB (RLIMIT_FSIZE)"
            yield LIMIT
            return
        ballast = folder.parent / "ballast"
        with contextlib.suppress(OSError), open(ballast, "wb", buffering=0) as f:
            while f.write(bytes(1 << 16)):
                pass
        self.full = f"a file system of {DISK >> 20} MiB filled to its last byte"
        try:
            yield None
        finally:
            ballast.unlink()

    def _ended(self) -> None:
        """After Snakemake ended by itself and left nothing running: no output lacks its record."""
        self.whole.look(self.project.folder)
        if not any(job.process.alive() for job in self.known) and (found := unrecorded(self.project.folder)):
            raise BrokenPromiseError(f"{found[0]}: there without its record")

    def _quiet(self) -> None:
        """Wait for the jobs that were left behind."""
        for job in self.known:
            while job.process.alive():
                if time.monotonic() > self.deadline:
                    raise BrokenPromiseError(f"{job.name}: still running")
                time.sleep(LOOK)
        self.whole.look(self.project.folder)


def forget(project: Project, made: tuple[str, ...]) -> None:
    """Remove files, and what is in folders but for logs and copies of the settings."""
    for path in (project.folder / name for name in made):
        for inside in path.iterdir() if path.is_dir() else [path]:
            if inside.name not in NOT_COMPARED[:2]:
                _remove(inside)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def say(text: str, log: Any) -> None:
    log.write(f"--- {text}\n")
    log.flush()


# ---- a download that is cut


class Cutting(http.server.BaseHTTPRequestHandler):
    """Sends half of what is asked for. The first connection then stays open, the second ends, the others send all."""

    body = b""
    asked: list[int]
    half_sent: threading.Event
    go_on: threading.Event

    def do_GET(self) -> None:
        at = int((self.headers["Range"] or "bytes=0-").removeprefix("bytes=").removesuffix("-"))
        self.asked.append(at)
        rest = self.body[at:]
        self.send_response(206 if at else 200)
        self.send_header("Content-Length", str(len(rest)))
        self.end_headers()
        self.wfile.write(rest if len(self.asked) > 2 else rest[: len(rest) // 2])
        if len(self.asked) == 1:
            self.half_sent.set()
            self.go_on.wait(600)
        self.close_connection = True

    def log_message(self, *_: Any) -> None:
        pass


def cut_download(project: Project, seed: int) -> list[int]:
    """Fetch a file over a connection that stalls, kill the job, cut the next; return where each request began."""

    class Here(Cutting):
        body = random.Random(seed).randbytes(8 << 20)
        asked: list[int] = []  # noqa: RUF012
        half_sent, go_on = threading.Event(), threading.Event()

    folder = project.folder / "data/paper/raw/covid-ct-seg"
    _remove(folder)
    file = project.folder / "workflow/datasets/covid-ct-seg.yaml"
    described = yaml.safe_load(file.read_text())
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Here) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,)).start()
        url = f"http://127.0.0.1:{server.server_port}/scan.bin"
        sha256 = hashlib.sha256(Here.body).hexdigest()
        described["sources"] = [{"name": "scan.bin", "urls": [url], "sha256": sha256}]
        file.write_text(yaml.safe_dump(described))
        make = ["snakemake", "--cores", "1", "--retries", "2", "--config", "mode=paper", "--"]
        make.append("data/paper/raw/covid-ct-seg/fetched.json")
        top = subprocess.Popen(
            make, cwd=project.folder, env=project.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        try:
            part = folder / ".scan.bin.part"
            while not (Here.half_sent.is_set() and part.exists() and part.stat().st_size >= 1 << 20):
                if top.poll() is not None:
                    raise BrokenPromiseError(f"the download did not start: {top.stdout and top.stdout.read().decode()}")
                time.sleep(LOOK)
            if names := [path.name for path in folder.iterdir() if not path.name.startswith(".")]:
                raise BrokenPromiseError(f"{names[0]}: there before its download ended")
            for process in jobs_below(top.pid):
                Handle(process, top.pid).kill()
            Here.go_on.set()
            text = top.communicate(timeout=600)[0].decode()
        finally:
            Here.go_on.set()
            top.kill()
            top.wait()
            server.shutdown()
    if top.returncode or (folder / "scan.bin").read_bytes() != Here.body or part.exists():
        raise BrokenPromiseError(f"the download did not end well: {text}")
    if len(Here.asked) != 3 or not 0 < Here.asked[1] < Here.asked[2]:
        raise BrokenPromiseError(f"the download did not go on where it was: requests at {Here.asked}")
    return Here.asked


# ---- the whole


def prepare(folder: Path, runs: str = RUNS, preset: str = "") -> Project:
    """Return a small demo of some runs whose trainings keep their resume state every half second.

    ``preset``: more lines of the preset.
    """
    folder.mkdir(parents=True)
    project = small_project(folder, runs, "all")
    project.edit("workflow/presets/small.yaml", "threads: 1\n", f"threads: 1\nfolds: 2\nrounds: 1\n{preset}")
    project.edit("workflow/papers/ssanet.yaml", "m3, (M4) backbone+SC+SA: m4}", "m3}")
    project.edit("workflow/datasets/medseg-1.yaml", "size: 128,", "size: 64,")
    project.edit("workflow/datasets/medseg-2.yaml", "size: 128, slices: 8", "size: 64, slices: 3")
    project.edit("src/covidseg/train/resume.py", "SECONDS = 20.0", "SECONDS = 0.5")
    return project


def undisturbed(project: Project, jobs: int) -> float:
    """Run the demo; return its seconds."""
    start = time.perf_counter()
    project.run("snakemake", "--workflow-profile", "workflow/profiles/default", "--cores", str(jobs))
    return time.perf_counter() - start


def main() -> None:
    """Run the demo three times and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=60)
    parser.add_argument("--snakemakes", type=int, default=6, help="kills of Snakemake itself")
    parser.add_argument("--jobs", type=int, default=8, help="jobs at once")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, help="where to work; kept")
    args = parser.parse_args()
    folder = args.folder or Path(tempfile.mkdtemp(prefix="covidseg-storm-"))
    mounted = _own_disk(folder / "storm")
    try:
        one, many, storm = (prepare(folder / name / "project") for name in ("one", "many", "storm"))
        seconds = {"one": undisturbed(one, 1), "many": undisturbed(many, args.jobs)}
        whole = Whole(one.folder)
        files = whole.compare(many.folder)
        print(f"undisturbed: 1 job at a time {seconds['one']:.0f} s, {args.jobs} at once {seconds['many']:.0f} s")
        print(f"{files} files compared between them: the same", flush=True)
        start = time.perf_counter()
        run = Storm(storm, whole, durations(many.folder), args.jobs, args.seed, folder / "storm.log")
        run.run(args.kills, args.snakemakes, fill=True)
        files = whole.compare(storm.folder)
        report(run, time.perf_counter() - start, files)
        print(f"a download cut twice: requests began at bytes {cut_download(storm, args.seed)}; the hash is right")
    finally:
        if args.folder or sys.exc_info()[0]:
            print(f"kept: {folder}{'; to remove it, first umount its folder storm' if mounted else ''}")
        else:
            if mounted:
                subprocess.run(["umount", str(folder / "storm")], check=True)
            shutil.rmtree(folder)


def report(run: Storm, seconds: float, files: int) -> None:
    """Print the table of kills."""
    columns = {"jobs": Counter(dict.fromkeys(run.seconds, 1)), "starts": run.starts, "kills": run.kills}
    columns |= {"at any time": run.how["process"], "writing": run.how["writing"], "its shell": run.how["shell"]}
    print(f"{'':10}" + "".join(f"{title:>12}" for title in columns))
    for verb in [*sorted({name.split()[0] for name in run.seconds}), "all"]:
        sums = [sum(n for name, n in c.items() if verb in ("all", name.split()[0])) for c in columns.values()]
        print(f"{verb:10}" + "".join(f"{value:12}" for value in sums))
    print(f"Snakemake killed {run.snakemakes} times, started {run.invocations} times; after a kill:", end=" ")
    print(", ".join(f"{way} ({count})" for way, count in run.ways.items()) or "none")
    print(f"disk: {run.full}")
    left = hidden(run.project.folder)
    size = sum(path.stat().st_size for path in left)
    print(
        f"{seconds:.0f} s; {run.whole.looks} looks at all files, none partial; temporary files left: {len(left)}",
        end="",
    )
    print(f" ({size >> 10} KiB)\n{files} files are the undisturbed run's; lost: none")
    print("compared: tables, figures, claims, leaks, scores, predictions, models, data; records without their times")
    print("not compared: report.html, which shows times; logs; copies of the settings")


def _own_disk(folder: Path) -> bool:
    """Put a small file system of our own there; return whether that could be done."""
    folder.mkdir(parents=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={DISK}", "covidseg-storm", str(folder)]
    return os.geteuid() == 0 and subprocess.run(command, capture_output=True).returncode == 0


if __name__ == "__main__":
    try:
        main()
    except BrokenPromiseError as e:
        sys.exit(f"BROKEN: {e}")
