"""The small demo as other machines would run it: each file against that of a run here.

    python benchmarks/machines.py [--only NAME ...] [--folder FOLDER]

Machines of the same kind are imitated by all that is not the processor's instructions: folder, file system, order of a
folder's files, host name, home, locale, time zone, umask, seed of Python's hashes, cores, jobs at once, and threads
that the environment names; all at once, or by name in parts. They must give the same bytes; where one does not, its
files are listed and the exit code is 1. Machines of another kind are imitated by what torch, oneDNN, MKL, OpenBLAS and
NumPy offer to keep them from newer instructions, and by another number of threads in the preset. They need not give the
same bytes; how far they are apart is measured, in the demo, whose networks learn next to nothing, and in a training
that learns.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path

import h5py
import numpy as np
import pandas as pd

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.storm import DISK, RUNS, Whole, content, prepare, undisturbed, visible  # noqa: E402
from covidseg.metrics.overlap import label_map  # noqa: E402
from tests.conftest import Project  # noqa: E402
from tests.unit.train import blobs  # noqa: E402

ROOTS = os.geteuid() == 0  # only root names hosts and mounts file systems
MORE = RUNS.replace("]", ", infnet/semi-infnet]")
PRESET = "steps: 2\nscales: [1]\n"
JOBS = 2

# Settings of a user that no result may depend on. This C locale knows ASCII only, as Latin-1 ones know no more than 256
# letters.
ABROAD = {
    "TZ": "Pacific/Chatham",
    "LC_ALL": "C",
    "PYTHONCOERCECLOCALE": "0",
    "PYTHONUTF8": "0",
    "PYTHONHASHSEED": "4711",
}
STYLE = "font.family: serif\nfont.size: 17\nsavefig.bbox: tight\nfigure.facecolor: red\nimage.cmap: jet\n"
BACKWARDS = '''\
"""Python lists folders backwards here."""
import os

_listdir, _scandir = os.listdir, os.scandir


class _Backwards:
    def __init__(self, found):
        self.found = found

    def __iter__(self):
        return self

    def __next__(self):
        return next(self.found)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def close(self):
        pass


def scandir(path="."):
    with _scandir(path) as found:
        return _Backwards(iter(sorted(found, key=lambda entry: entry.name, reverse=True)))


os.listdir = lambda path=".": sorted(_listdir(path), reverse=True)
os.scandir = scandir
'''


@dataclass(frozen=True)
class Machine:
    """What differs on it; a variable that is None is taken away."""

    about: str
    environment: dict[str, str | None] = field(default_factory=dict)
    jobs: int = JOBS
    cores: int = 0  # 0: all
    place: str = "project"
    own: bool = False  # a file system, host name, umask and home of its own, folders listed backwards
    threads: int = 1
    data: bool = True  # makes its data, too


NAMED = {
    "avx2": {"ATEN_CPU_CAPABILITY": "avx2"},
    "default": {"ATEN_CPU_CAPABILITY": "default"},
    "onednn": {"ONEDNN_MAX_CPU_ISA": "AVX2"},
    "onednn-sse41": {"ONEDNN_MAX_CPU_ISA": "SSE41"},
    "mkl": {"MKL_CBWR": "AVX2"},
    "mkl-compatible": {"MKL_CBWR": "COMPATIBLE"},
    "numpy": {"NPY_DISABLE_CPU_FEATURES": "X86_V4 AVX512_ICL", "OPENBLAS_CORETYPE": "Haswell"},
    "numpy-old": {"NPY_DISABLE_CPU_FEATURES": "X86_V3 X86_V4 AVX512_ICL", "OPENBLAS_CORETYPE": "Nehalem"},
}


def _all(*names: str) -> dict[str, str | None]:
    return {key: value for name in names for key, value in NAMED[name].items()}


ELSEWHERE = Machine(
    "another folder, file system (tmpfs), host name, home with a matplotlibrc, umask; folders listed backwards",
    {"USER": "other", "LOGNAME": "other"},
    place="an other place/x",
    own=True,
)
THREADS: dict[str, str | None] = {f"{name}_NUM_THREADS": "8" for name in ("OMP", "MKL", "OPENBLAS", "NUMEXPR")}
SAME = {
    "another": replace(
        ELSEWHERE,
        about=f"{ELSEWHERE.about}; time zone, ASCII locale, seed of hashes; one core, 8 jobs at once, 8 threads named",
        environment=ELSEWHERE.environment | ABROAD | THREADS,
        cores=1,
        jobs=8,
    ),
    # The same, one by one; only when asked for by name.
    "elsewhere": ELSEWHERE,
    "abroad": Machine("another time zone, a locale of ASCII, another seed of hashes", dict(ABROAD)),
    "one core": Machine(
        "one core, one job at a time, no word about threads", {"OMP_NUM_THREADS": None}, cores=1, jobs=1
    ),
    "many threads": Machine("8 jobs at once, 8 threads named for OpenMP, MKL, OpenBLAS and NumExpr", THREADS, jobs=8),
}
KINDS = {
    "torch": Machine("ATEN_CPU_CAPABILITY=avx2", _all("avx2"), data=False),
    "oneDNN": Machine("ONEDNN_MAX_CPU_ISA=AVX2", _all("onednn"), data=False),
    "MKL": Machine("MKL_CBWR=AVX2", _all("mkl"), data=False),
    "NumPy": Machine("NPY_DISABLE_CPU_FEATURES=X86_V4, OPENBLAS_CORETYPE=Haswell", _all("numpy")),
    "AVX2": Machine("a machine without AVX-512: the four together", _all("avx2", "onednn", "mkl", "numpy")),
    "SSE4": Machine("one without AVX", _all("default", "onednn-sse41", "mkl-compatible", "numpy-old")),
    "2 threads": Machine("threads: 2 in the preset", threads=2, data=False),
}
USUAL = ["another", *KINDS]


class Elsewhere(Project):
    """A project whose commands run on a machine."""

    def __init__(self, project: Project, machine: Machine, folder: Path) -> None:
        super().__init__(project.folder)
        changes = dict(machine.environment)
        if machine.own:
            _write(folder / "site" / "sitecustomize.py", BACKWARDS)
            _write(folder / "home" / ".config" / "matplotlib" / "matplotlibrc", STYLE)
            changes |= {"HOME": str(folder / "home"), "PYTHONPATH": f"{folder / 'site'}:{project.folder / 'src'}"}
        for key, value in changes.items():
            if value is None:
                self.environment.pop(key, None)
            else:
                self.environment[key] = value
        self.before: list[str] = []
        if machine.cores:
            cores = sorted(os.sched_getaffinity(0))[: machine.cores]
            self.before = ["taskset", "-c", ",".join(map(str, cores))]
        if machine.own:
            host = "hostname elsewhere; " if ROOTS else ""
            self.before += ["unshare", "--uts"] if ROOTS else []
            self.before += ["sh", "-c", f'umask 077; {host}exec "$@"', "sh"]

    def run(self, *command: str, fails: bool = False) -> str:
        return super().run(*self.before, *command, fails=fails)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True)
    path.write_text(text)


def made_by(machine: Machine, folder: Path, reference: Project) -> tuple[Project, float]:
    """Run the demo on a machine; return its project and the seconds."""
    place = folder / machine.place
    if machine.data:
        project = prepare(place, MORE, PRESET)
    else:
        shutil.copytree(reference.folder, place, copy_function=shutil.copy2)
        project = Project(place)
        for path in (place / "results/demo").iterdir():
            if path.name != "configs":
                shutil.rmtree(path) if path.is_dir() else path.unlink()
    if machine.threads != 1:
        project.edit("workflow/presets/small.yaml", "threads: 1\n", f"threads: {machine.threads}\n")
    there = Elsewhere(project, machine, folder)
    return there, undisturbed(there, machine.jobs)


def differing(whole: Whole, project: Project) -> list[str]:
    """Return the files that differ from the reference's, are missing or too many."""
    there = {file: content(project.folder / file) for file in visible(project.folder)}
    return sorted(file for file in {*there, *whole.expected} if there.get(file) != whole.expected.get(file))


# ---- how far apart


def apart(reference: Path, other: Path) -> list[str]:
    """Return in words how far tables, predictions and models are from the reference's."""
    said = []
    numbers: dict[str, float] = {}
    for path in sorted((reference / "results/demo/tables").rglob("*.csv")):
        a, b = (pd.read_csv(p) for p in (path, other / path.relative_to(reference)))
        if "ours" in a:
            for column, values in (a.ours - b.ours).abs().groupby(a.column):
                numbers[str(column)] = max(numbers.get(str(column), 0), float(values.max()))
    said.append("table: " + ", ".join(f"{column} {value:.2g}" for column, value in sorted(numbers.items()) if value))
    dice, most = [], 0
    for path in sorted((reference / "results/demo/runs").rglob("predictions.h5")):
        a, b = (_maps(p) for p in (path, other / path.relative_to(reference)))
        most = max(most, int(np.abs(a.astype(int) - b).max(initial=0)))
        for one, two in zip(map(label_map, a), map(label_map, b), strict=True):
            for k in range(1, a.shape[1] + 1):
                both = int((one == k).sum() + (two == k).sum())
                dice.append(2 * int(((one == k) & (two == k)).sum()) / both if both else 1.0)
    said.append(
        f"maps: at most {most} of 255 apart; DSC of masks with the reference's: mean {np.mean(dice):.4f}, "
        f"least {min(dice):.4f}, below 1 in {sum(d < 1 for d in dice)} of {len(dice)}"
    )
    return said


def _maps(path: Path) -> np.ndarray:
    with h5py.File(path) as file:
        return np.asarray(file["prob"])


# ---- a training that learns something

LEARNS = """\
import sys
from pathlib import Path
from covidseg.train import run
from tests.unit.train import blobs

data, out, threads, seed = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
train = {"epochs": 60, "batch": 6, "optimizer": {"lr": 3e-3}}
run(blobs.job(data, out, seed=seed, threads=threads, losses={"dice": {}}, train=train), blobs.quiet)
"""


def learned(folder: Path) -> None:
    """Train a small SSA-Net on discs in noise as machines of each kind do, and with other seeds; print how alike."""
    data = blobs.make(folder / "data")
    truth = np.load(data / "label.npy")
    trained: dict[str, np.ndarray] = {}

    def learn(name: str, machine: Machine, seed: int = 0) -> None:
        out = folder / name
        environment = {key: value for key, value in machine.environment.items() if value is not None}
        subprocess.run(
            [sys.executable, "-c", LEARNS, str(data), str(out), str(machine.threads), str(seed)],
            env=os.environ | {"PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"} | environment, check=True,
        )  # fmt: skip
        trained[name] = _maps(out / "predictions.h5")[:, 0] >= 128
        with h5py.File(out / "predictions.h5") as file:
            inside = truth[file["index"][()]] == 1
        equal = (out / "model.safetensors").read_bytes() == (folder / "here" / "model.safetensors").read_bytes()
        own, other = (_dice(trained[name], masks) for masks in (inside, trained["here"]))
        print(f"learned, {name}: DSC {own:.4f}; with that of here {other:.4f}; {'' if equal else 'not '}the same bytes")

    learn("here", Machine(""))
    for name, machine in KINDS.items():
        learn(name, machine)
    for seed in (1, 2, 3):
        learn(f"seed {seed}", Machine(""), seed)


def _dice(a: np.ndarray, b: np.ndarray) -> float:
    return float((2 * (a & b).sum((1, 2)) / np.maximum(a.sum((1, 2)) + b.sum((1, 2)), 1)).mean())


# ---- the whole


def main() -> None:
    """Run the demo here and on each machine; print what differs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=[*SAME, *KINDS], help=f"these machines; else {', '.join(USUAL)}")
    parser.add_argument("--folder", type=Path, help="where to work; kept, and its run here is used again")
    args = parser.parse_args()
    folder = args.folder or Path(tempfile.mkdtemp(prefix="covidseg-machines-"))
    wrong = []
    try:
        if not args.only:
            learned(folder / "learned")
        place = folder / "here" / "project"
        here = Project(place) if place.exists() else prepare(place, MORE, PRESET)  # of an earlier call
        print(f"here: {undisturbed(here, JOBS):.0f} s", flush=True)
        whole = Whole(here.folder)
        for name, machine in (SAME | KINDS).items():
            if name in (args.only or USUAL):
                wrong += _compare(name, machine, folder / name, here, whole)
    finally:
        if args.folder or sys.exc_info()[0]:
            print(f"kept: {folder}")
        else:
            shutil.rmtree(folder)
    print("compared: tables, figures, claims, leaks, scores, predictions, models, data; records without their times")
    print("not compared: report.html, which shows times; logs; copies of the settings")
    print("not imitated: another processor, kernel, C library, Python or version of a library; a GPU")
    if wrong:
        sys.exit(f"BROKEN: {len(wrong)} files differ on a machine of the same kind")


def _compare(name: str, machine: Machine, folder: Path, here: Project, whole: Whole) -> list[str]:
    """Run one machine and say what came out; return what should not differ and does."""
    folder.mkdir(parents=True)
    mounted = machine.own and _mount(folder)
    try:
        there, seconds = made_by(machine, folder, here)
        found = differing(whole, there)
        print(f"{name} ({machine.about}): {seconds:.0f} s; ", end="")
        if machine.own:
            print(f"{'tmpfs' if mounted else 'no tmpfs'}, host name {'another' if ROOTS else 'the same'}; ", end="")
        print(f"{len(found)} of {len(whole.expected)} files differ", flush=True)
        if name in SAME:
            print("".join(f"  {file}\n" for file in found), end="", flush=True)
            return found
        kinds = Counter(Path(file).name for file in found)
        print("  " + ", ".join(f"{file} {count}" for file, count in kinds.most_common()))
        print("".join(f"  {line}\n" for line in apart(here.folder, there.folder)), end="", flush=True)
        return []
    finally:
        if mounted:
            subprocess.run(["umount", str(folder)], check=True)


def _mount(folder: Path) -> bool:
    """Put a file system of memory there; return whether that could be done."""
    command = ["mount", "-t", "tmpfs", "-o", f"size={DISK}", "covidseg-machines", str(folder)]
    return ROOTS and subprocess.run(command, capture_output=True).returncode == 0


if __name__ == "__main__":
    main()
