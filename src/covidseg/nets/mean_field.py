"""Mean-field inference of a conditional random field over a window: the recurrent layer of CRF-RNN."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from covidseg.base.errors import UserError

REACH = 3  # pixels to each side that a pixel looks at
NEAR, ALIKE = 3.0, 0.1  # deviations: of distance in pixels, of grey values in 0..1


class MeanField(nn.Module):
    """Refine logits by their neighbours (Zheng et al., ICCV 2015, algorithm 1; Kraehenbuehl and Koltun 2011).

    Each of ``steps`` rounds takes the class probabilities of the pixels within ``REACH`` rows and columns, weighed by
    a Gaussian of the distance and by one of distance and grey value, and adds these votes to the logits. The two
    kernels' weights are learned, the deviations are fixed. The published layer looks at the whole image; the window
    (as Teichmann and Cipolla, BMVC 2019, propose) bounds memory. Classes are all equally incompatible (Potts).
    """

    def __init__(self, steps: int) -> None:
        super().__init__()
        if steps < 1:
            raise UserError(f"net.crf: must be 0 or more (found {steps})")
        self.steps = steps
        self.weights = nn.Parameter(torch.tensor([1.0, 1.0]))  # smoothness, appearance

    def forward(self, logits: Tensor, image_NCHW: Tensor) -> Tensor:
        """Return logits (N, K, H, W); K = 1 is the logit of one class against background.

        image_NCHW: (N, C, H, W) in 0..1, of which the first channel counts.
        """
        grey = image_NCHW[:, :1].float()
        H, W = grey.shape[2:]
        padded, inside = (F.pad(t, (REACH,) * 4) for t in (grey, torch.ones_like(grey)))
        kernels = []
        for dy, dx in neighbours():
            rows, columns = slice(REACH + dy, REACH + dy + H), slice(REACH + dx, REACH + dx + W)
            there = inside[:, :, rows, columns] * torch.exp(torch.tensor(-(dy**2 + dx**2) / (2 * NEAR**2)))
            alike = torch.exp(-((padded[:, :, rows, columns] - grey) ** 2) / (2 * ALIKE**2))
            kernels.append((there, there * alike, rows, columns))
        nearness = torch.stack([near for near, *_ in kernels]).sum(0)
        likeness = torch.stack([alike for _, alike, *_ in kernels]).sum(0)
        single = logits.shape[1] == 1
        unary = torch.cat((torch.zeros_like(logits), logits), 1).float() if single else logits.float()
        now = unary
        for _ in range(self.steps):
            belief = F.pad(torch.softmax(now, 1), (REACH,) * 4)
            votes = torch.zeros_like(unary)
            for near, alike, rows, columns in kernels:
                weight = self.weights[0] * near / nearness + self.weights[1] * alike / likeness
                votes = votes + weight * belief[:, :, rows, columns]
            now = unary + votes
        return now[:, 1:] - now[:, :1] if single else now


def neighbours() -> list[tuple[int, int]]:
    """Return the offsets (rows, columns) of the window, without the pixel itself."""
    reach = range(-REACH, REACH + 1)
    return [(dy, dx) for dy in reach for dx in reach if (dy, dx) != (0, 0)]
