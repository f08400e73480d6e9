"""Where the edges of a mask are: by its gradient, as Inf-Net describes."""

from __future__ import annotations

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
