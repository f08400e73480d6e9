"""Training throughput at 512x512, batch 2: our loop against a plain loop over the same network.

``python benchmarks/train.py [--rounds 3] [--steps 6] [--size 512] [--threads 2] [--width 1]`` runs the two in turn,
each in a process of its own, and prints the median step of each as slices per second, by the wall and by processor
time. The plain loop works as the released main.py of SSA-Net does: it reads NIfTI slices at each step, passes messages
slice by slice in autograd, steps every 24 batches with torch's Adam, and makes the optimizer anew each epoch.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from sidebyside import Clock, Facts, arguments, compare, train, write_tensors

ACCUMULATE, BATCH = 24, 2
NET = {"name": "ssanet", "skip": "add"}


def make(folder: Path, args: argparse.Namespace) -> None:
    """Write the same random slices as tensors and as NIfTI files."""
    import nibabel

    n, rng = args.steps * BATCH, np.random.default_rng(0)
    image = rng.integers(0, 256, (n + 1, args.size, args.size), dtype=np.uint8)
    label = (rng.random(image.shape) > 0.9).astype(np.uint8)
    write_tensors(folder, image, label)
    for i in range(n):
        for key, array in {"image": image, "label": label}.items():
            nibabel.save(nibabel.Nifti1Image(array[i].astype(np.float32), np.eye(4)), folder / f"{key}{i}.nii")


def ours(folder: Path, args: argparse.Namespace) -> Facts:
    """Time the steps of ``covidseg.train.run``."""
    losses = {"dice": {}, "self_attention": {"weight": 0.1}}
    settings = {"accumulate": ACCUMULATE, "optimizer": {"recreate": True}}
    return train(folder, args, BATCH, net=NET, losses=losses, train=settings)


def plain(folder: Path, args: argparse.Namespace) -> Facts:
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
    clock = Clock()
    clock.tick()
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
        clock.tick()
    return clock.facts(BATCH)


if __name__ == "__main__":
    compare(arguments(__doc__, rounds=3, steps=6, size=512, threads=2).parse_args(), make, plain, ours)
