"""Random changes of training slices: turned, scaled, shifted, mirrored, brighter or darker."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from covidseg.schema.training import Augment


def augmented(x: Tensor, target: Tensor, asked: Augment) -> tuple[Tensor, Tensor]:
    """Return input (N, C, H, W) in 0..1 and target (N, H, W) after one random change of each slice.

    All channels and the target move together: the input bilinear, labels by the nearest pixel, both continued beyond
    the edge; a label of the whole slice (N, 1, 1) stays. Contrast and gamma change the first channel, the CT, and leave
    0 at 0, which is what lies outside a mask. Numbers are drawn by torch's generator of the host, so that a killed
    training draws them again.
    """
    grid = F.affine_grid(_moves(len(x), asked), [len(x), 1, *x.shape[2:]], align_corners=False).to(x.device)
    gain, gamma = (1 + asked.intensity * _draw(len(x), 2)).to(x.device).unbind(1)
    moved = F.grid_sample(x, grid, mode="bilinear", padding_mode="border", align_corners=False)
    picture = (moved[:, :1] * gain.view(-1, 1, 1, 1)).clamp(0, 1) ** gamma.view(-1, 1, 1, 1)
    out = torch.cat((picture, moved[:, 1:]), 1).contiguous(memory_format=torch.channels_last)
    if target.shape[1:] != x.shape[2:]:
        return out, target
    way = "bilinear" if target.is_floating_point() else "nearest"
    labels = F.grid_sample(target[:, None].float(), grid, mode=way, padding_mode="border", align_corners=False)
    return out, labels[:, 0].to(target.dtype)


def _moves(n: int, asked: Augment) -> Tensor:
    """Return (n, 2, 3) maps from a place in the new slice to one in the old, both in -1..1."""
    turn, size, down, right = _draw(n, 4).unbind(1)
    angle = torch.deg2rad(asked.rotate * turn)
    mirror = torch.where(torch.rand(n) < 0.5, -1.0, 1.0) if asked.mirror else torch.ones(n)
    size = 1 / (1 + asked.scale * size)
    cos, sin = size * angle.cos(), size * angle.sin()
    rows = (mirror * cos, -sin, 2 * asked.shift * right, mirror * sin, cos, 2 * asked.shift * down)
    return torch.stack(rows, 1).view(n, 2, 3)


def _draw(n: int, count: int) -> Tensor:
    """Return (n, count) numbers, evenly from -1 to 1."""
    return 2 * torch.rand(n, count) - 1
