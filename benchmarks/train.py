"""Training throughput at 512x512, batch 2: our loop against a plain loop over the same network.

``python benchmarks/train.py [--rounds 3] [--steps 6] [--size 512] [--threads 2] [--width 1]`` runs the two in turn,
each in a process of its own, and prints the median step of each as slices per second. The plain loop works as the
released main.py of SSA-Net does: it reads NIfTI slices at each step, passes messages slice by slice in autograd, steps
every 24 batches with torch's Adam, and makes the optimizer anew each epoch.
"""

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
from pathlib import Path
from typing import Any

import numpy as np

ACCUMULATE, BATCH = 24, 2
NET = {"name": "ssanet", "skip": "add"}


def main() -> None:
    """Run both loops in turn and print the medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=6, help="steps per round, the first two not counted")
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--width", type=float, default=1.0)
    parser.add_argument("--only", choices=["plain", "covidseg"], help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.only:
        print(json.dumps({"plain": plain, "covidseg": ours}[args.only](args.folder, args)))
        return
    found: dict[str, list[dict[str, float]]] = {"plain": [], "covidseg": []}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make(folder, args)
        for _, kind in itertools.product(range(args.rounds), found):
            command = [sys.executable, __file__, *sys.argv[1:], "--only", kind, "--folder", name]
            found[kind].append(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
            print(kind, found[kind][-1], flush=True)
    rate = {kind: statistics.median(run["slices_per_second"] for run in runs) for kind, runs in found.items()}
    memory = {kind: max(run["peak_mb"] for run in runs) for kind, runs in found.items()}
    for kind in found:
        print(f"{kind:9} {rate[kind]:.3f} slices/s, peak {memory[kind]:.0f} MB")
    print(f"covidseg / plain: {rate['covidseg'] / rate['plain']:.2f}")


def make(folder: Path, args: argparse.Namespace) -> None:
    """Write the same random slices as tensors and as NIfTI files."""
    import nibabel

    from covidseg.data.tensors import COLUMNS

    n, rng = args.steps * BATCH, np.random.default_rng(0)
    image = rng.integers(0, 256, (n + 1, args.size, args.size), dtype=np.uint8)
    label = (rng.random(image.shape) > 0.9).astype(np.uint8)
    for key, array in {"image": image, "lung": np.ones_like(image), "label": label}.items():
        np.save(folder / f"{key}.npy", array)
    with open(folder / "slices.csv", "w", newline="") as f:
        writer = csv.DictWriter(f, COLUMNS)
        writer.writeheader()
        writer.writerows({"index": i, "case": "b" if i == n else "a", "position": i} for i in range(n + 1))
    (folder / "split.csv").write_text("fold,case,role\n0,a,train\n0,b,test\n")
    for i in range(n):
        for key, array in {"image": image, "label": label}.items():
            nibabel.save(nibabel.Nifti1Image(array[i].astype(np.float32), np.eye(4)), folder / f"{key}{i}.nii")


def ours(folder: Path, args: argparse.Namespace) -> dict[str, float]:
    """Time the steps of ``covidseg.train.run``."""
    from covidseg.schema import RunSpec
    from covidseg.train import Job, run

    losses = {"dice": {}, "self_attention": {"weight": 0.1}}
    train = {"epochs": 1, "batch": BATCH, "accumulate": ACCUMULATE, "optimizer": {"recreate": True}}
    spec = RunSpec.model_validate(
        {
            "dataset": "random",
            "split": "all",
            "classes": ["lesion"],
            "input": {"size": args.size, "mode": "slice"},
            "net": NET | {"width": args.width},
            "losses": losses,
            "train": train,
            "threads": args.threads,
        }
    )
    times: list[float] = []
    job = Job(spec, 0, 0, folder, folder / "split.csv", folder / "out", {"lesion": (1,)}, "cpu")
    run(job, lambda *_: times.append(time.perf_counter()))
    return _facts(times)


def plain(folder: Path, args: argparse.Namespace) -> dict[str, float]:
    """Time the steps of a plain loop: everything as the released code does it, nothing tuned."""
    import nibabel
    import torch
    import torch.nn.functional as F

    from covidseg import losses, nets

    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    net: Any = nets.build(NET | {"width": args.width}, 1, 1)

    def messages(x: torch.Tensor) -> torch.Tensor:
        for number, conv in enumerate(net.spatial.passes):
            dim = 2 if number < 2 else 3
            weight = conv.weight.unsqueeze(dim)
            padding = (0, 4) if dim == 2 else (4, 0)
            slices = list(x.split(1, dim))
            slices = slices[::-1] if number % 2 else slices
            done = [slices[0]]
            for part in slices[1:]:
                done.append(part + F.relu(F.conv2d(done[-1], weight, padding=padding)))
            x = torch.cat(done[::-1] if number % 2 else done, dim)
        return x

    net.spatial.forward = messages
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3, weight_decay=1e-8)
    given = {"dice": {"smoothing": "released"}, "self_attention": {"weight": 0.1}}
    times = [time.perf_counter()]
    for step in range(args.steps):
        rows = range(step * BATCH, (step + 1) * BATCH)
        image, label = (
            np.stack([nibabel.load(folder / f"{key}{i}.nii").get_fdata(dtype=np.float32) for i in rows])
            for key in ("image", "label")
        )
        outputs = net(torch.from_numpy(image)[:, None] / 255)
        loss, _ = losses.total(given, outputs, torch.from_numpy(label).to(torch.uint8), 0)
        loss.backward()
        if (step + 1) % ACCUMULATE == 0:
            optimizer.step()
            optimizer.zero_grad()
        times.append(time.perf_counter())
    return _facts(times)


def _facts(times: list[float]) -> dict[str, float]:
    """Return the throughput of the median step, and the peak memory."""
    steps = np.diff(times)[2:] if len(times) > 4 else np.diff(times)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"slices_per_second": round(BATCH / float(np.median(steps)), 3), "peak_mb": round(peak)}


if __name__ == "__main__":
    main()
