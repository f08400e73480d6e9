"""A step of adversarial semi-supervision beside a supervised step of the same batch: CPU seconds and peak memory.

python benchmarks/adversarial.py [SIZE] [WIDTH] [BATCH]
"""

from __future__ import annotations

import itertools
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

EPOCHS = 6  # of one batch; the first ones warm up


def main(size: int, width: float, batch: int) -> None:
    """Print both and their ratios, each from a process of its own."""
    found = {}
    for method in ("supervised", "adversarial"):
        command = [sys.executable, __file__, method, str(size), str(width), str(batch)]
        said = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.split()
        found[method] = float(said[0]), float(said[1])
        print(f"{method}: {found[method][0]:.2f} s a step, peak memory {found[method][1]:.0f} MiB")
    (seconds, memory), (more, too) = found["supervised"], found["adversarial"]
    print(f"ratio: {more / seconds:.2f} of the time, {too / memory:.2f} of the memory")


def one(method: str, size: int, width: float, batch: int) -> None:
    """Train on random slices; print the median seconds of a step of the last epochs, and the peak memory."""
    import dataclasses

    sys.path.insert(0, str(Path(__file__).parents[1]))
    from covidseg.train import run
    from tests.unit.train import blobs

    losses = {"cross_entropy": {}, "proportions": {"weight": 0.5}, "vq": {}}
    train = {"method": method, "epochs": EPOCHS, "batch": batch, "slices_per_epoch": batch, "validate_every": EPOCHS}
    train["optimizer"] = {"name": "sgd", "lr": 0.01, "momentum": 0.9}
    if method == "adversarial":
        train |= {"pool": {"dataset": "blobs"}, "from_epoch": 1}
    changes = {"net": {"name": "vqresnet", "width": width}, "losses": losses, "train": train}
    with tempfile.TemporaryDirectory() as folder:
        data = blobs.make(Path(folder, "data"), size)
        job = blobs.job(data, Path(folder, "out"), input={"size": size, "mode": "slice"}, **changes)
        times: list[float] = []
        job = dataclasses.replace(job, pool=blobs.make(Path(folder, "pool"), size))
        run(job, lambda *_: times.append(time.process_time()))
    steps = sorted(b - a for a, b in itertools.pairwise(times[2:-1]))
    print(steps[len(steps) // 2], resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


if __name__ == "__main__":
    if sys.argv[1:2] and sys.argv[1] in ("supervised", "adversarial"):
        one(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4]))
    else:
        given = sys.argv[1:]
        main(*(kind(value) for kind, value in zip((int, float, int), given or ("128", "0.5", "4"), strict=True)))
