"""Loss on pairs of pixels: between two places of one class there is no border, between two classes there is one."""

from __future__ import annotations

import functools
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from covidseg.base.errors import UserError
from covidseg.losses.targets import UNLABELLED

IGNORES_UNLABELLED = True
READS = ("edge", "displacement")
TINY = 1e-5


def pixel_pairs(outputs: dict[str, Any], target: Tensor, *, radius: int = 10, displacement: bool = True) -> Tensor:
    """Return IRN's loss of borders and displacements (Ahn et al., CVPR 2019, eqs. 5, 9 and 10).

    Of the network's ``edge`` (N, 1, h, w) and ``displacement`` (N, 2, h, w); target (N, H, W) at the size of the slice,
    taken to that of the edges by the nearest pixel. Pairs lie less than ``radius`` places apart; both need a label and
    a straight line between them inside the slice. The affinity of a pair is 1 minus the strongest edge on that line; it
    should be 1 within background and within a class, 0 between them: the mean of -log over each of these three, the
    first two weighing a quarter and the last a half. ``displacement``: those of two places of one class should differ
    by the way between them, of two of the background not at all.

    Raises UserError when the network returns no ``edge``.
    """
    if "edge" not in outputs:
        raise UserError("losses.pixel_pairs: this network returns no edges; use net irn, or switch the loss off")
    edge = torch.sigmoid(outputs["edge"].float())[:, 0]
    moved = outputs["displacement"].float()
    small = F.interpolate(target[:, None].float(), edge.shape[1:], mode="nearest-exact")[:, 0]
    sums = edge.new_zeros(5)
    counts = edge.new_zeros(3)
    for dy, dx in offsets(radius):
        here, there = windows(edge.shape[1], edge.shape[2], dy, dx)
        if here is None or there is None:
            continue
        a, b = small[:, *here], small[:, *there]
        known = (a != UNLABELLED) & (b != UNLABELLED)
        background, same, other = known & (a == 0) & (b == 0), known & (a == b) & (a > 0), known & (a != b)
        affinity = 1 - strongest(edge, dy, dx)
        near = -torch.log(affinity + TINY)
        far = -torch.log(1 - affinity + TINY)
        way = moved.new_tensor([dy, dx])[:, None, None]
        step = moved[:, :, *here] - moved[:, :, *there]
        sums = sums + torch.stack(
            [
                (near * background).sum(),
                (near * same).sum(),
                (far * other).sum(),
                ((step - way).abs().mean(1) * same).sum(),
                (step.abs().mean(1) * background).sum(),
            ]
        )
        counts = counts + torch.stack([background.sum(), same.sum(), other.sum()])
    background, same, other = (counts + TINY).unbind()
    border = sums[0] / background / 4 + sums[1] / same / 4 + sums[2] / other / 2
    return border + displacement * (sums[3] / same + sums[4] / background) / 2


@functools.cache
def offsets(radius: int) -> list[tuple[int, int]]:
    """Return the offsets (rows, columns) of half a disk of less than ``radius``: each pair of places once."""
    reach = range(-radius + 1, radius)
    return [(dy, dx) for dy in range(radius) for dx in reach if (dy, dx) > (0, 0) and dy * dy + dx * dx < radius**2]


def windows(height: int, width: int, dy: int, dx: int) -> tuple[tuple[slice, slice] | None, tuple[slice, slice] | None]:
    """Return the places that have a partner (dy, dx) away within a map, and these partners; None where there are none.
    ``dy`` is 0 or more.
    """
    if dy >= height or abs(dx) >= width:
        return None, None
    left = max(0, -dx)
    columns = width - abs(dx)
    here = (slice(0, height - dy), slice(left, left + columns))
    return here, (slice(dy, height), slice(left + dx, left + dx + columns))


def strongest(edge: Tensor, dy: int, dx: int) -> Tensor:
    """Return the largest edge (N, h, w) on the line of each pair (dy, dx) apart, for the places of ``windows``."""
    here, _ = windows(edge.shape[1], edge.shape[2], dy, dx)
    assert here is not None
    rows, columns = here
    steps = max(abs(dy), abs(dx))
    on_line = []
    for k in range(steps + 1):
        y, x = round(k * dy / steps), round(k * dx / steps)
        on_line.append(edge[:, rows.start + y : rows.stop + y, columns.start + x : columns.stop + x])
    return torch.stack(on_line).amax(0)
