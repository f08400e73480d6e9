"""What the training benchmarks share: our loop and a plain one in turn, each in a process of its own, medians."""

from __future__ import annotations

import argparse
import csv
import itertools
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Facts = dict[str, float]
RATES = {"slices/s": "by the wall", "slices/cpu-s": "by processor time"}


def arguments(doc: str | None, **defaults: int) -> argparse.ArgumentParser:
    """Return the parser of what both benchmarks are asked; ``defaults`` gives each whole number its default."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, value in defaults.items():
        about = "batches a round; of four or more the first two are not counted" if name == "steps" else None
        parser.add_argument(f"--{name}", type=int, default=value, help=about)
    parser.add_argument("--width", type=float, default=1.0)
    parser.add_argument("--only", choices=["plain", "covidseg"], help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    return parser


def compare(
    args: argparse.Namespace, make: Callable[..., None], plain: Callable[..., Facts], ours: Callable[..., Facts]
) -> None:
    """Run both loops in turn on what ``make`` writes into a folder, and print the medians."""
    if args.only:
        print(json.dumps({"plain": plain, "covidseg": ours}[args.only](args.folder, args)))
        return
    found: dict[str, list[Facts]] = {"plain": [], "covidseg": []}
    with tempfile.TemporaryDirectory() as name:
        make(Path(name), args)
        for _, kind in itertools.product(range(args.rounds), found):
            command = [sys.executable, *sys.argv, "--only", kind, "--folder", name]
            found[kind].append(json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout))
            print(kind, found[kind][-1], flush=True)
    for rate, how in RATES.items():
        medians = [statistics.median(run[rate] for run in found[kind]) for kind in ("covidseg", "plain")]
        print(f"{how}: covidseg {medians[0]:.3f}, plain {medians[1]:.3f} {rate}, ratio {medians[0] / medians[1]:.2f}")
    print("peak:", ", ".join(f"{kind} {max(run['peak_mb'] for run in runs):.0f} MB" for kind, runs in found.items()))


def write_tensors(folder: Path, image: npt.NDArray[np.uint8], label: npt.NDArray[np.uint8]) -> None:
    """Write slices (N, H, W) as a data set's tensors; the last is there to test on, all others train."""
    from covidseg.data.tensors import COLUMNS

    for key, array in {"image": image, "lung": np.ones_like(image), "label": label}.items():
        np.save(folder / f"{key}.npy", array)
    with open(folder / "slices.csv", "w", newline="") as f:
        writer = csv.DictWriter(f, COLUMNS)
        writer.writeheader()
        writer.writerows({"index": i, "case": "a", "position": i} for i in range(len(image) - 1))
        writer.writerow({"index": len(image) - 1, "case": "b", "position": len(image) - 1})
    (folder / "split.csv").write_text("fold,case,role\n0,a,train\n0,b,test\n")


def train(folder: Path, args: argparse.Namespace, batch: int, **settings: Any) -> Facts:
    """Time the batches of an epoch of ``covidseg.train.run``; ``settings``: net, losses and train of a run."""
    from covidseg.schema import RunSpec
    from covidseg.train import Job, run

    spec = RunSpec.model_validate(
        {
            "dataset": "random",
            "split": "all",
            "classes": ["lesion"],
            "input": {"size": args.size, "mode": "slice"},
            "threads": args.threads,
            **settings,
            "net": settings["net"] | {"width": args.width},
            "train": settings["train"] | {"epochs": 1, "batch": batch},
        }
    )
    clock = Clock()
    job = Job(spec, 0, 0, folder, folder / "split.csv", folder / "out", {"lesion": (1,)}, "cpu")
    run(job, lambda *_: clock.tick())
    return clock.facts(batch)


class Clock:
    """Wall and processor time at each tick; a batch lies between two."""

    def __init__(self) -> None:
        self._ticks: list[tuple[float, float]] = []

    def tick(self) -> None:
        """Take the time."""
        self._ticks.append((time.perf_counter(), time.process_time()))

    def facts(self, batch: int) -> Facts:
        """Return the throughput of the median batch, and the peak memory."""
        steps = np.diff(self._ticks, axis=0)
        rates = batch / np.median(steps[2:] if len(steps) > 3 else steps, axis=0)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        return {**{key: round(float(rate), 4) for key, rate in zip(RATES, rates, strict=True)}, "peak_mb": round(peak)}
