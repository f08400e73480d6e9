"""Where the edges of a mask are: by its gradient, as Inf-Net describes, or by Canny's rule, as its release mixes in."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

CUT = 128.5 / 255  # 8-bit values above 128 are inside


def inside(target: Tensor) -> Tensor:
    """Return where targets (N, H, W) are foreground, as bool: any class, or of soft ones (float32) what is above 128 of
    255, where Inf-Net's authors cut them.
    """
    return target > CUT if target.is_floating_point() else target > 0


def gradient(target: Tensor) -> Tensor:
    """Return the edges of masks (N, H, W) as bool (N, H, W): where the gradient by central differences is not zero.

    Those are pixels whose left and right, or upper and lower neighbours differ; at the border the pixel itself stands
    for the neighbour it lacks. The result is two pixels wide and is, pixel for pixel, what ``numpy.gradient`` gives
    and what Inf-Net's authors released for each of their 50 labelled training slices.
    """
    mask = F.pad(inside(target)[:, None].float(), (1, 1, 1, 1), mode="replicate")[:, 0]
    middle = slice(1, -1)
    across, down = mask[:, middle, 2:] != mask[:, middle, :-2], mask[:, 2:, middle] != mask[:, :-2, middle]
    return across | down


def canny(target: Tensor) -> Tensor:
    """Return the edges of masks (N, H, W) as bool (N, H, W) by the rule of Canny (1986) without smoothing.

    A pixel is an edge where its Sobel gradient, as the sum of absolute values, is above that of its two neighbours
    along the gradient; of two equal ones side by side the left or the upper one is taken. On a mask every gradient
    exceeds the thresholds (10 and 150 of 255) in use. Pixel for pixel this is what OpenCV's function gives and what
    Inf-Net's authors released for their pseudo labels, these cut above 128.
    """
    mask = F.pad(inside(target)[:, None].float(), (1, 1, 1, 1), mode="replicate")
    sobel = torch.tensor([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]], device=mask.device)
    with torch.autocast(mask.device.type, enabled=False):
        across, down = F.conv2d(mask, torch.stack((sobel, sobel.t()))[:, None]).unbind(1)
    strength = F.pad(across.abs() + down.abs(), (1, 1, 1, 1))
    H, W = across.shape[1:]

    def beside(dy: int, dx: int) -> Tensor:
        return strength[:, 1 + dy : 1 + dy + H, 1 + dx : 1 + dx + W]

    here = beside(0, 0)
    tangent = 2**0.5 - 1  # of half a right angle's half: which two neighbours lie along the gradient
    flat, steep = down.abs() < tangent * across.abs(), down.abs() > (tangent + 2) * across.abs()
    falling = across * down >= 0
    along = torch.where(
        flat,
        (here > beside(0, -1)) & (here >= beside(0, 1)),
        torch.where(
            steep,
            (here > beside(-1, 0)) & (here >= beside(1, 0)),
            torch.where(
                falling,
                (here > beside(-1, -1)) & (here > beside(1, 1)),
                (here > beside(-1, 1)) & (here > beside(1, -1)),
            ),
        ),
    )
    return along & (here > 0)
