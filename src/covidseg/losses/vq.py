"""The loss of vector quantisation: reconstruct the image, bring codes and features together."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from covidseg.base.errors import UserError

IGNORES_UNLABELLED = True  # it does not look at the target
READS = ("vq",)
LEAST = 1e-3  # of the variance: a batch of one grey value has none


def vq(outputs: dict[str, Any], target: Tensor, *, beta: float = 0.25) -> Tensor:
    """Return |x - D(e)|^2 + |sg[z] - e|^2 + beta |z - sg[e]|^2 (Jin et al. 2022, eq. 2).

    Means of squares over all elements, summed over the levels; x is the image, D(e) its reconstruction, z features, e
    their codes and sg no gradient. The first term is divided by the variance of the batch's images, as the authors of
    VQ-VAE do in their code: features have a variance of 1, images in 0..1 one of about 0.05, and beside the other terms
    the image would hardly count; codes then learn to tell places apart, and nothing of the image. ``outputs["vq"]``
    lists z and e of each level in turn, ``outputs["reconstruction"]`` is x and D(e); without it the first term is left
    out. Raises UserError when the network returns no ``vq``.
    """
    if "vq" not in outputs:
        raise UserError("losses.vq: this network has no codebook or it is switched off; set net.vq: true")
    levels = zip(outputs["vq"][::2], outputs["vq"][1::2], strict=True)
    terms = [F.mse_loss(e, z.detach()) + beta * F.mse_loss(z, e.detach()) for z, e in levels]
    if "reconstruction" in outputs:
        x, image = outputs["reconstruction"]
        terms.append(F.mse_loss(image.float(), x) / x.var(correction=0).clamp(min=LEAST))
    return torch.stack(terms).sum()
