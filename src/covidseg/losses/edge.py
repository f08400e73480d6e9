"""Edge loss: the network also says where the lesions end."""

from __future__ import annotations

from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from covidseg.base.errors import UserError
from covidseg.losses import edge_maps

IGNORES_UNLABELLED = False  # an edge of what has no label is not known


def edge(
    outputs: dict[str, Any], target: Tensor, *, rule: Literal["gradient", "canny", "released"] = "gradient"
) -> Tensor:
    """Return the mean binary cross entropy of the network's ``edge`` logits with the target's edges (Inf-Net, eq. 3).

    The edges are found on the device, in the target as it is; the released code stores maps of the full-size masks
    and shrinks them bilinearly. ``rule``: gradient, as described and as stored for the labelled slices, or canny, as
    stored for the pseudo labels; ``released`` is each in its place: a slice with a value between 0 and 1 is a pseudo
    label. Raises UserError when the network returns no ``edge``.
    """
    if "edge" not in outputs:
        raise UserError("losses.edge: this network returns no edge map; switch the loss off (null)")
    found = edge_maps.canny(target) if rule == "canny" else edge_maps.gradient(target)
    if rule == "released" and target.is_floating_point():
        soft = ((target > 0) & (target < 1)).flatten(1).any(1)[:, None, None]
        found = torch.where(soft, edge_maps.canny(target), found)
    return F.binary_cross_entropy_with_logits(outputs["edge"].float(), found[:, None].float())
