"""Applying a model: start-up, a volume against the bare forward passes, and memory over many scans.

``python benchmarks/predict.py [--slices 24] [--threads 2] [--rounds 3] [--size 512]`` makes a full-width SSA-Net with
random weights and NIfTI volumes of noise with two lungs, and prints

- the time of ``covidseg predict`` on one slice of 64 x 64 (start-up: Python, torch, the model, one small scan);
- the time that a volume takes from its file to its mask, by the bare forward passes of the same network on the same
  number of slices in the same batches; the two are run in turn, and the median of the rounds' ratios counts, by the
  wall and by processor time, which other processes disturb less;
- the peak memory of the process after 2 and after 8 scans of one size.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

NET = {"name": "ssanet"}


def volume(path: Path, slices: int, size: int) -> None:
    """Write a volume of HU: noise, a body, two lungs."""
    import nibabel

    y, x = np.mgrid[:size, :size] / size - 0.5
    hu = np.where(x**2 / 0.2 + y**2 / 0.12 < 1, 40, -1000)
    hu[((abs(x) - 0.2) ** 2 / 0.015 + y**2 / 0.05) < 1] = -850
    noise = np.random.default_rng(0).normal(0, 20, (slices, size, size))
    array = (hu + noise).astype(np.int16).transpose(2, 1, 0)
    nibabel.save(nibabel.Nifti1Image(array, np.diag([-0.7, -0.7, 1.0, 1.0])), path)


def export(path: Path, size: int) -> None:
    """Write a model with random weights as ``covidseg export`` does."""
    from covidseg import nets
    from covidseg.inference.model import Model, Network, Settings, save

    network = Network(net=NET, input={"size": size, "mode": "slice+lung"}, classes=["infection"])
    weights = {f"member0.{name}": t for name, t in nets.build(NET, 2, 1).state_dict().items()}
    settings = Settings(
        run="benchmark/random",
        network=network,
        members=1,
        labels={"infection": 1},
        window=(-1250, 250),
        lungs="threshold",
        phantoms=True,
    )
    save(Model.of(settings, weights), path)


def startup(model: Path, folder: Path) -> tuple[float, float]:
    """Return the seconds that the command takes for a scan of one small slice, by the wall and of the processor."""
    volume(folder / "small.nii.gz", 1, 64)
    start, before = time.perf_counter(), os.times()
    command = [sys.executable, "-m", "covidseg", "predict", model, folder / "small.nii.gz", "--out", folder / "small"]
    subprocess.run([str(part) for part in command], check=True, capture_output=True, cwd=folder)
    after = os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return time.perf_counter() - start, cpu


def ratio(model: Path, scan: Path, slices: int, size: int, threads: int, folder: Path) -> tuple[float, float]:
    """Return the time from a scan's file to its outputs by that of the bare forward passes: wall, processor."""
    import torch

    from covidseg.inference import apply, scans, segmenters
    from covidseg.inference.model import load
    from covidseg.train.loader import evaluation_batch

    loaded = load(model)
    segmenter = segmenters.of_model(loaded, "cpu", threads, folder, None)
    network = loaded.members("cpu", threads)[0].model
    torch.set_num_threads(threads)
    batch = evaluation_batch(size, torch.device("cpu"))
    x = torch.rand(slices, 2, size, size).contiguous(memory_format=torch.channels_last)
    with torch.inference_mode():
        network(x[:batch])
        start, cpu = time.perf_counter(), time.process_time()
        for k in range(0, slices, batch):
            network(x[k : k + batch])
        bare, bare_cpu = time.perf_counter() - start, time.process_time() - cpu
    start, cpu = time.perf_counter(), time.process_time()
    apply.run(segmenter, scans.find([scan])[0], apply.Wanted(folder / "out"), lambda line: None)
    return (time.perf_counter() - start) / bare, (time.process_time() - cpu) / bare_cpu


def memory(model: Path, folder: Path, scans: int) -> int:
    """Return the peak MiB of a process that predicts some scans."""
    here = folder / f"many{scans}"
    here.mkdir()
    for k in range(scans):
        os.link(folder / "memory.nii.gz", here / f"{k}.nii.gz")
    command = [sys.executable, "-m", "covidseg", "predict", model, here, "--out", folder / f"masks{scans}"]
    code = "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True, capture_output=True); "
    code += "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024)"
    words = [sys.executable, "-c", code, *map(str, command)]
    return int(subprocess.run(words, check=True, capture_output=True, text=True, cwd=folder).stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name, value in (("slices", 24), ("threads", 2), ("rounds", 3), ("size", 512)):
        parser.add_argument(f"--{name}", type=int, default=value)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model, small = folder / "model.safetensors", folder / "small.safetensors"
        export(model, args.size)
        export(small, 64)
        wall, cpu = map(statistics.median, zip(*(startup(small, folder) for _ in range(args.rounds)), strict=True))
        print(f"start-up with one slice of 64 x 64: {wall:.2f} s, {cpu:.2f} s of the processor")
        scan = folder / "scan.nii.gz"
        volume(scan, args.slices, args.size)
        pairs = [ratio(model, scan, args.slices, args.size, args.threads, folder) for _ in range(args.rounds)]
        wall, cpu = map(statistics.median, zip(*pairs, strict=True))
        what = f"{args.slices} slices of {args.size} x {args.size}, {args.threads} threads"
        print(f"{what}: {wall:.3f} of the bare forward passes, {cpu:.3f} by processor time")
        volume(folder / "memory.nii.gz", 20, 256)
        few, many = (memory(small, folder, scans) for scans in (2, 8))
        print(f"peak memory: {few} MiB with 2 scans, {many} MiB with 8")


if __name__ == "__main__":
    main()
