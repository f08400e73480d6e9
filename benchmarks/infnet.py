"""Training throughput of Inf-Net at 352x352, three scales a batch: our loop against a plain loop over the same network.

``python benchmarks/infnet.py [--rounds 3] [--steps 6] [--batch 4] [--size 352] [--threads 2] [--width 1]`` runs the two
in turn, each in a process of its own, and prints the median batch of each as slices per second, by the wall and by
processor time. The plain loop works as the released MyTrain_LungInf.py of Inf-Net does: each epoch it opens the image
(JPG), its mask and its edge map (PNG) of every slice and resizes them; each scale resizes them again and is a step of
torch's Adam after a clamp of each gradient. It reads in the process that trains.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
from sidebyside import Clock, Facts, arguments, compare, train, write_tensors

NET = {"name": "infnet", "init": "random"}
SCALES = (0.75, 1.0, 1.25)
RATE, CLAMP = 1e-4, 0.5
STORED = (400, 430)  # width and height of the files, as of many released slices


def make(folder: Path, args: argparse.Namespace) -> None:
    """Write the same slices as tensors and as JPG and PNG files: random spots, and an ellipse as the lesion."""
    import torch
    from PIL import Image

    from covidseg.losses.edge_maps import gradient

    n, rng = args.steps * args.batch, np.random.default_rng(0)
    y, x = np.mgrid[-1 : 1 : STORED[1] * 1j, -1 : 1 : STORED[0] * 1j]
    images, labels = [], []
    for i in range(n + 1):
        image = Image.fromarray(rng.integers(0, 256, (48, 48), dtype=np.uint8)).resize(STORED, Image.Resampling.BICUBIC)
        (cx, cy), (rx, ry) = rng.uniform(-0.5, 0.5, 2), rng.uniform(0.1, 0.4, 2)
        inside = ((x - cx) / rx) ** 2 + ((y - cy) / ry) ** 2 < 1
        mask = Image.fromarray(inside.astype(np.uint8) * 255)
        edge = gradient(torch.from_numpy(inside[None]))[0].numpy()
        image.save(folder / f"image{i}.jpg")
        mask.save(folder / f"mask{i}.png")
        Image.fromarray(edge.astype(np.uint8) * 255).save(folder / f"edge{i}.png")
        size = (args.size, args.size)
        images.append(np.asarray(image.resize(size, Image.Resampling.BILINEAR)))
        labels.append(np.asarray(mask.resize(size, Image.Resampling.NEAREST)) // 255)
    write_tensors(folder, np.stack(images), np.stack(labels))


def ours(folder: Path, args: argparse.Namespace) -> Facts:
    """Time the batches of ``covidseg.train.run``."""
    settings = {"scales": SCALES, "optimizer": {"name": "adam", "lr": RATE, "clamp": CLAMP}}
    return train(folder, args, args.batch, net=NET, losses={"structure": {}, "edge": {}}, train=settings)


def plain(folder: Path, args: argparse.Namespace) -> Facts:
    """Time the batches of a plain loop: everything as the released code does it, nothing tuned."""
    import torch
    import torch.nn.functional as F
    from PIL import Image

    from covidseg import nets
    from covidseg.nets.layers import IMAGENET_MEAN, IMAGENET_STD

    def read(kind: str, rows: range, mode: str) -> torch.Tensor:
        slices = []
        for i in rows:
            image = Image.open(folder / f"{kind}{i}.{'jpg' if mode == 'RGB' else 'png'}").convert(mode)
            array = np.array(image.resize((args.size, args.size), Image.Resampling.BILINEAR), np.float32) / 255
            slices.append(torch.from_numpy(np.atleast_3d(array).transpose(2, 0, 1).copy()))
        return torch.stack(slices)

    def structure(logits: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        weight = 1 + 5 * (F.avg_pool2d(mask, 31, 1, 15) - mask).abs()
        p = torch.sigmoid(logits)
        common, both = (weight * p * mask).sum((2, 3)), (weight * (p + mask)).sum((2, 3))
        entropy = F.binary_cross_entropy_with_logits(logits, mask)  # of the batch: the released weights cancel
        return (entropy + 1 - (common + 1) / (both - common + 1)).mean()

    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    mean, std = (torch.tensor(values)[None, :, None, None] for values in (IMAGENET_MEAN, IMAGENET_STD))
    net: Any = nets.build(NET | {"width": args.width}, 3, 1).train()
    optimizer = torch.optim.Adam(net.parameters(), lr=RATE)
    clock, reading = Clock(), 0.0
    clock.tick()
    for step in range(args.steps):
        start = time.process_time()
        rows = range(step * args.batch, (step + 1) * args.batch)
        image = (read("image", rows, "RGB") - mean) / std
        mask, edge = read("mask", rows, "L"), read("edge", rows, "L")
        reading += time.process_time() - start
        for scale in SCALES:
            side = round(args.size * scale / 32) * 32
            x, y, e = (
                part if scale == 1 else F.interpolate(part, (side, side), mode="bilinear", align_corners=True)
                for part in (image, mask, edge)
            )
            optimizer.zero_grad()
            outputs = net(x)
            loss = F.binary_cross_entropy_with_logits(outputs["edge"], e)
            for logits in (outputs["logits"], *outputs["side"]):
                loss = loss + structure(logits, y)
            loss.backward()
            for p in net.parameters():
                if p.grad is not None:
                    p.grad.clamp_(-CLAMP, CLAMP)
            optimizer.step()
        clock.tick()
    return clock.facts(args.batch) | {"reading_ms_a_slice": round(1000 * reading / (args.steps * args.batch), 1)}


if __name__ == "__main__":
    compare(arguments(__doc__, rounds=3, steps=6, batch=4, size=352, threads=2).parse_args(), make, plain, ours)
