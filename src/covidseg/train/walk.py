"""Random walks over the places of a slice: attention spreads until it meets a border."""

from __future__ import annotations

import torch
from torch import Tensor

from covidseg.losses.pixel_pairs import offsets, strongest, windows


def walk(map_Nhw: Tensor, edge_Nhw: Tensor, radius: int, beta: float, steps: int) -> Tensor:
    """Return attention maps (N, h, w) after a random walk (IRN, Ahn et al., CVPR 2019, eqs. 12 and 13).

    Two places less than ``radius`` apart have the affinity (1 - the strongest edge on the line between them) to the
    power ``beta``, a place with itself 1. Each of ``steps`` steps gives a place's attention to the others in proportion
    to its affinities. Attention on an edge counts less from the start: it is multiplied by 1 - edge. The release
    multiplies matrices of all pairs of places; here each step adds up shifted maps, which gives the same.
    """
    height, width = edge_Nhw.shape[1:]
    links = []
    for dy, dx in offsets(radius):
        here, there = windows(height, width, dy, dx)
        if here is not None and there is not None:
            links.append(((1 - strongest(edge_Nhw, dy, dx)).pow(beta), here, there))
    total = torch.ones_like(edge_Nhw)
    for affinity, here, there in links:
        total[:, *here] += affinity
        total[:, *there] += affinity
    now = map_Nhw * (1 - edge_Nhw)
    for _ in range(steps):
        given = now / total
        now = given.clone()
        for affinity, here, there in links:
            now[:, *there] += affinity * given[:, *here]
            now[:, *here] += affinity * given[:, *there]
    return now
