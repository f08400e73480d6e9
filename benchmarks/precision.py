"""bfloat16 beside float32 on a CPU: the time of a training step, and how far each convolution's gradients differ.

``python benchmarks/precision.py speed infnet:352 unet:352 ssanet:512`` times forward and backward passes of full-width
networks on one thread, in both precisions in turn, and prints the medians.

``python benchmarks/precision.py gradients --size 64 --width 0.125`` passes noise through every network (or those named)
and computes each convolution that it meets twice. It prints those of which output, input gradient or weight gradient
differ by more than 5 % (norm of the difference by the norm in float32), and how many it compared.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from covidseg import nets
from covidseg.train.device import place

Convolution = nn.Conv2d | nn.ConvTranspose2d
CPU = torch.device("cpu")


def build(name: str, width: float = 1.0) -> nn.Module:
    """Return a network for one channel and one class, ready to train."""
    options: dict[str, Any] = {"width": width} if "width" in nets.options(name) else {}
    if "init" in nets.options(name):
        options["init"] = "random"
    torch.manual_seed(0)
    return place(nets.build({"name": name, **options}, 1, 1), CPU).train()


def tensors(value: Any) -> Iterator[Tensor]:
    """Yield the tensors in a network's outputs that have gradients."""
    if isinstance(value, Tensor):
        if value.requires_grad:
            yield value
    elif isinstance(value, dict | list | tuple):
        for part in value.values() if isinstance(value, dict) else value:
            yield from tensors(part)


def seconds(model: nn.Module, size: int, bfloat16: bool) -> float:
    """Return the time of a forward and backward pass of one slice."""
    x = torch.rand(2, 1, size, size).contiguous(memory_format=torch.channels_last)
    start = time.perf_counter()
    with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
        outputs = model(x)
    sum(output.float().sigmoid().mean() for output in tensors(outputs)).backward()  # type: ignore[union-attr]
    return (time.perf_counter() - start) / 2


def speed(which: list[str], rounds: int) -> None:
    """Print seconds per slice of networks named as NAME:SIZE."""
    for name, size in (word.split(":") for word in which):
        model = build(name)
        taken: dict[bool, list[float]] = {False: [], True: []}
        for k in range(rounds + 1):
            for bfloat16, found in taken.items():
                spent = seconds(model, int(size), bfloat16)
                found += [spent] * (k > 0)  # the first round warms up
        plain, rounded = (statistics.median(found) for found in taken.values())
        print(f"{name} {size}: float32 {plain:.3f} s, bfloat16 {rounded:.3f} s a slice: {plain / rounded:.2f}")


def results(layer: Convolution, x: Tensor, bfloat16: bool) -> list[Tensor]:
    """Return a convolution's output, and its gradients for input and weights."""
    x = x.clone().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
        y = layer(x).float()
    towards = torch.randn(y.shape, generator=torch.Generator().manual_seed(1))
    channels_last = towards.to(memory_format=torch.channels_last)
    return [y.detach(), *torch.autograd.grad(y, (x, layer.weight), channels_last)]


def gradients(names: list[str], size: int, width: float) -> None:
    """Print the convolutions that differ between the precisions."""
    seen: set[str] = set()
    for name in names or nets.names():
        model, met = build(name, width), list[tuple[Convolution, Tensor]]()
        handles = [
            layer.register_forward_pre_hook(lambda layer, args, met=met: met.append((layer, args[0].detach())))
            for layer in model.modules()
            if isinstance(layer, Convolution)
        ]
        with torch.no_grad():
            model(torch.rand(2, 1, size, size))
        for handle in handles:
            handle.remove()
        for layer, x in met:
            key = f"{layer} {tuple(x.shape)} {x.stride()}"
            if key in seen:
                continue
            seen.add(key)
            pairs = zip(*(results(layer, x, bfloat16) for bfloat16 in (False, True)), strict=True)
            far = [float((b - a).norm() / (a.norm() + 1e-9)) for a, b in pairs]
            if not all(value < 0.05 for value in far):
                print(f"{name}: {key}: output {far[0]:.3g}, input {far[1]:.3g}, weights {far[2]:.3g}")
    print(f"{size} pixels, width {width:g}: {len(seen)} convolutions compared")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("speed", "gradients"))
    parser.add_argument("nets", nargs="*", help="NAME:SIZE for speed, NAME for gradients")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--width", type=float, default=0.125)
    args = parser.parse_args()
    torch.set_num_threads(1)
    if args.what == "speed":
        speed(args.nets or ["infnet:352", "unet:352", "ssanet:512"], args.rounds)
    else:
        gradients(args.nets, args.size, args.width)


if __name__ == "__main__":
    main()
