"""Edge loss: the network also says where the lesions end."""

from __future__ import annotations

from typing import Any, Literal

import torch.nn.functional as F
from torch import Tensor

from covidseg.errors import UserError
from covidseg.losses import edge_maps


def edge(outputs: dict[str, Any], target: Tensor, *, rule: Literal["gradient", "canny"] = "gradient") -> Tensor:
    """Return the mean binary cross entropy of the network's ``edge`` logits with the target's edges (Inf-Net, eq. 3).

    The edges are found on the device, in the target as it is; the released code stores maps of the full-size masks
    and shrinks them bilinearly. ``rule``: gradient, as described and as stored for the labelled slices, or canny, as
    stored for the pseudo labels. Raises UserError when the network returns no ``edge``.
    """
    if "edge" not in outputs:
        raise UserError("losses.edge: this network returns no edge map; switch the loss off (null)")
    found = edge_maps.gradient(target) if rule == "gradient" else edge_maps.canny(target)
    return F.binary_cross_entropy_with_logits(outputs["edge"].float(), found[:, None].float())
