"""Self-training: pseudo labels against the bare forward pass, and what a round costs beside its training.

``python benchmarks/rounds.py [--size 512] [--slices 24] [--width 1] [--threads 2]`` labels random slices with a new
SSA-Net of two classes in turn with forward passes over the same batches held in memory, three times each, and prints
the ratio of the medians. ``python benchmarks/rounds.py RESULTS`` reads the records of finished rounds below a folder of
results and prints what the two jobs of a round took beside the training itself.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np


def main() -> None:
    """Print one of the two measurements."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path, nargs="?")
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--slices", type=int, default=24)
    parser.add_argument("--width", type=float, default=1.0)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    if args.results:
        overhead(args.results)
    else:
        labelling(args)


def labelling(args: argparse.Namespace) -> None:
    """Time labelling and bare forward passes in turn."""
    import torch

    from covidseg import nets
    from covidseg.data.tensors import Tensors
    from covidseg.train.device import place, prepare
    from covidseg.train.loader import SliceLoader, Slices, evaluation_batch, in_batches
    from covidseg.train.pseudo import write_labels

    device = prepare("auto", args.threads)
    model = place(nets.build({"name": "ssanet", "width": args.width}, 2, 3), device).eval()
    image = np.random.default_rng(0).integers(0, 256, (args.slices, args.size, args.size), dtype=np.uint8)
    loaded = Tensors(image, np.ones_like(image), np.zeros_like(image), {})
    loader = SliceLoader([Slices(loaded, {})], "slice+lung", device)
    rows = np.arange(args.slices)
    held = list(loader.batches(in_batches(rows, evaluation_batch(args.size, device))))

    def bare() -> None:
        with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
            for x, _ in held:
                model(x)
        if device.type == "cuda":
            torch.cuda.synchronize()

    with tempfile.TemporaryDirectory() as folder:

        def label() -> None:
            write_labels(model, loader, rows, 2, 0.95, rows[:0], (), Path(folder) / "labels.h5")

        seconds: dict[str, list[float]] = {"bare": [], "label": []}
        bare()
        for _ in range(3):
            for name, run in (("bare", bare), ("label", label)):
                start = time.perf_counter()
                run()
                seconds[name].append(time.perf_counter() - start)
    rate = {name: args.slices / statistics.median(found) for name, found in seconds.items()}
    print(f"forward {rate['bare']:.2f} slices/s, labelling {rate['label']:.2f}: {rate['label'] / rate['bare']:.3f}")


def overhead(results: Path) -> None:
    """Print, for each round after the first, its seconds beside training, and the median."""
    found = []
    for path in sorted(results.rglob("stages/round*/stage.json")):
        facts = json.loads(path.read_text())
        number = int(path.parent.name.removeprefix("round"))
        if facts["passed"] or not number:
            continue
        labels = json.loads((path.parent.parent / f"labels{number}" / "stage.json").read_text())
        beside = facts["wall_seconds"] + labels["wall_seconds"] - facts["seconds"]
        found.append(beside)
        print(
            f"{facts['run']} fold {facts['fold']} round {number}: training {facts['seconds']:.1f} s, plus {beside:.1f}"
        )
    print(f"median {statistics.median(found):.1f} s beside the training, of which labelling is a part")


if __name__ == "__main__":
    main()
