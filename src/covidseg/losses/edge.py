"""Edge loss: the network also says where the lesions end."""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from torch import Tensor

from covidseg.base.errors import UserError
from covidseg.losses import edge_maps

IGNORES_UNLABELLED = False  # an edge of what has no label is not known
READS = ("edge",)


def edge(outputs: dict[str, Any], target: Tensor) -> Tensor:
    """Return the mean binary cross entropy of the network's ``edge`` logits with the target's edges (Inf-Net, eq. 3).

    The edges are found on the device, in the target as it is. The released code stores maps of the full-size masks and
    shrinks them bilinearly; those of its pseudo labels come from Canny's rule instead of the gradient. Raises UserError
    when the network returns no ``edge``.
    """
    if "edge" not in outputs:
        raise UserError("losses.edge: this network returns no edge map; switch the loss off (null)")
    found = edge_maps.gradient(target)
    return F.binary_cross_entropy_with_logits(outputs["edge"].float(), found[:, None].float())
