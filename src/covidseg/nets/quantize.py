"""Vector quantisation: features become the nearest of a codebook's vectors, and gradients pass as if they had not."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Codebook(nn.Module):
    """A codebook that learns by gradients (van den Oord et al., NeurIPS 2017; Jin et al. 2022, eqs. 1 and 2).

    In: features (N, channels, H, W). Out, float32 even under autocast: the features as the network goes on with them,
    each replaced by its nearest code, with the gradient of the identity (straight through); and the codes themselves,
    through which the ``vq`` loss teaches the codebook. Equation 1 prints its argmin over i with an index j; the nearest
    code is meant. ``used`` holds the index of each position's code in the last pass.
    """

    def __init__(self, codes: int, channels: int) -> None:
        super().__init__()
        self.codes = nn.Parameter(torch.randn(codes, channels))
        self.used = torch.zeros(0, dtype=torch.long)

    def forward(self, z_NCHW: Tensor) -> tuple[Tensor, Tensor]:
        """Return the quantised features and the codes, both (N, channels, H, W)."""
        with torch.autocast(z_NCHW.device.type, enabled=False):
            z = z_NCHW.float()
            flat = z.permute(0, 2, 3, 1).reshape(-1, z.shape[1])
            with torch.no_grad():  # |z - e|^2 but for |z|^2, which is the same for all codes
                self.used = (self.codes.square().sum(1) - 2 * flat @ self.codes.t()).argmin(1)
            N, _, H, W = z.shape
            codes = F.embedding(self.used, self.codes).view(N, H, W, -1).permute(0, 3, 1, 2)
            return z + (codes - z).detach(), codes
