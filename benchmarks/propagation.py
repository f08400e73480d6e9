"""Label propagation by Inf-Net's authors' settings: operations, floors, and a few steps timed.

``python benchmarks/propagation.py [--device auto] [--threads 1] [--labelled 8] [--k 4] [--steps 2] [--epochs 1]
[--batch 4]`` first counts: a step of E epochs learns L labelled slices and all that have pseudo labels by then, so S
steps of K slices learn E (S L + K S (S + 1) / 2) slices, each at three scales. The operations of one slice are those
of the convolutions, forward and backward, as torch counts them. Then it runs ``covidseg stage``'s code on random
slices and says how long the whole would take at that speed: by the wall, and on a CPU by processor time too, which
other jobs on the machine change less.
"""

from __future__ import annotations

import argparse
import csv
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

NET, LOSSES = {"name": "infnet"}, {"structure": {}, "edge": {}}
SCALES = (0.75, 1.0, 1.25)
SIZE = 352
H200 = 989e12  # operations a second in bfloat16, as its maker says
VARIANTS = {"authors: K 5, 320 steps": (5, 320), "practical: K 80, 20 steps": (80, 20)}


def main() -> None:
    """Count, time, and print both."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--labelled", type=int, default=8)
    parser.add_argument("--k", type=int, default=4)
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--count", action="store_true", help="count only")
    args = parser.parse_args()
    from covidseg.train.loop import side

    sides = [side(SIZE, scale) for scale in SCALES]
    each = {size: operations(size) for size in sides}
    print(", ".join(f"{size}x{size}: {n / 1e9:.1f} GFLOP" for size, n in each.items()), "forward and backward")
    one = sum(each.values())
    rate = multiplications()
    print(f"one thread multiplies matrices at {rate / 1e9:.0f} GFLOP/s of processor time")
    for name, (k, steps) in VARIANTS.items():
        total = one * learned(50, k, steps, 10)
        print(
            f"{name}: {learned(50, k, steps, 10):,} slices, {total:.2e} FLOP; floor {total / H200 / 60:.0f} min "
            f"on one H200, {total / (2 * rate) / 86400:.1f} days on two cores"
        )
    if args.count:
        return
    slices, wall, processor = timed(args)
    for name, (k, steps) in VARIANTS.items():
        whole = learned(50, k, steps, 10) / slices / 3600
        print(f"{name}: {whole * wall:.1f} h by the wall, {whole * processor:.1f} h of processor time")
    print(f"{slices} slices in {wall:.1f} s ({one * slices / wall / 1e9:.0f} GFLOP/s),", end=" ")
    print(f"{processor:.1f} s of processor time ({one * slices / processor / 1e9:.0f} GFLOP/s)")


def learned(labelled: int, k: int, steps: int, epochs: int) -> int:
    """Return how many slices all steps learn."""
    return epochs * (steps * labelled + k * steps * (steps + 1) // 2)


def operations(size: int) -> int:
    """Return the operations of one slice, forward and backward; no number is computed."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from covidseg import nets

    with torch.device("meta"):
        model = nets.build(NET, 1, 1)
        x = torch.zeros(2, 1, size, size)
    with FlopCounterMode(display=False) as counter:
        outputs: dict[str, Any] = model(x)
        sum(m.sum() for m in (outputs["logits"], outputs["edge"], *outputs["side"])).backward()
    return int(counter.get_total_flops() // 2)


def multiplications(size: int = 1536) -> float:
    """Return the operations a second of a float32 matrix product on one thread, the best of five."""
    import torch

    torch.set_num_threads(1)
    a = torch.randn(size, size)
    seconds = []
    for _ in range(5):
        start = time.process_time()
        a @ a
        seconds.append(time.process_time() - start)
    return float(2 * size**3 / min(seconds))


def timed(args: argparse.Namespace) -> tuple[int, float, float]:
    """Return the slices that a block of steps learned, its seconds, and those of processor time."""
    from covidseg import nets
    from covidseg.data.tensors import COLUMNS
    from covidseg.jobs import record
    from covidseg.schema import RunSpec
    from covidseg.train import Job, stage
    from covidseg.train.predict import save_model
    from covidseg.train.stages import folder

    train = {
        "method": "propagation",
        "pool": {"dataset": "random"},
        "k": args.k,
        "steps": args.steps,
        "step_epochs": args.epochs,
        "step_batch": args.batch,
        "blocks": 1,
        "scales": SCALES,
        "optimizer": {"lr": 1e-4, "clamp": 0.5},
    }
    spec = RunSpec.model_validate(
        {
            "dataset": "random",
            "split": "all",
            "classes": ["infection"],
            "input": {"size": SIZE, "mode": "slice"},
            "net": NET,
            "losses": LOSSES,
            "train": train,
            "threads": args.threads,
        }
    )
    with tempfile.TemporaryDirectory() as name:
        out = Path(name)
        roles = ["test", *["labelled"] * args.labelled, *["unlabelled"] * args.k * args.steps]
        image = np.random.default_rng(0).integers(0, 256, (len(roles), SIZE, SIZE), dtype=np.uint8)
        label = np.zeros_like(image)
        label[:, 100:200, 80:150] = 1
        for key, array in {"image": image, "lung": np.ones_like(image), "label": label}.items():
            np.save(out / f"{key}.npy", array)
        with open(out / "slices.csv", "w", newline="") as f:
            writer = csv.DictWriter(f, COLUMNS)
            writer.writeheader()
            for i, role in enumerate(roles):
                writer.writerow({"index": i, "slice": f"{i}", "case": role, "position": i, "role": role})
        (out / "split.csv").write_text("fold,case,role\n0,labelled,train\n0,test,test\n")
        job = Job(spec, 0, 0, out, out / "split.csv", out, {"infection": (1,)}, args.device, pool=out)
        save_model(nets.build(NET, 1, 1), spec, folder(out, "first") / "model.safetensors")
        record.write(folder(out, "first") / "stage.json", spec_hash="", passed=False)
        start = time.perf_counter(), time.process_time()
        stage(job, "block1", lambda *_: None)
        seconds = time.perf_counter() - start[0], time.process_time() - start[1]
    return learned(args.labelled, args.k, args.steps, args.epochs), *seconds


if __name__ == "__main__":
    main()
