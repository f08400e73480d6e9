"""Spatial convolution: sequential message passing over the rows and columns of a feature map.

Pan et al. 2018 (Spatial CNN), as used by SSA-Net (Wang et al. 2022, section 3.1): in each of four passes
``x_i <- x_i + relu(conv(x_(i-1)))`` with one kernel for all slices of the pass, so the last slice sees the first.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


class SpatialConv(nn.Module):
    """Four passes over (N, C, H, W): down, up, right, left; kernels C -> C of ``kernel`` taps, no bias.

    The shape stays; with kernels of zero the map stays too.
    """

    def __init__(self, channels: int, kernel: int = 9) -> None:
        super().__init__()
        self.passes = nn.ModuleList(
            nn.Conv1d(channels, channels, kernel, padding=kernel // 2, bias=False) for _ in range(4)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return x after the four passes, in float32."""
        with torch.autocast(x.device.type, enabled=False):
            rows_LNWC = x.float().permute(2, 0, 3, 1)
            rows_LNWC = self._both_ways(rows_LNWC, 0)
            columns_LNHC = self._both_ways(rows_LNWC.transpose(0, 2), 2)
            return columns_LNHC.permute(1, 3, 2, 0)

    def _both_ways(self, x_LNWC: Tensor, first: int) -> Tensor:
        for conv in (self.passes[first], self.passes[first + 1]):
            x_LNWC = _Pass.apply(x_LNWC, conv.weight).flip(0)  # type: ignore[no-untyped-call]
        return x_LNWC


class _Pass(torch.autograd.Function):
    """One pass over the slices of x (L, N, W, C), first to last, with weight (C_out, C_in, taps).

    The recurrence is one matrix product a slice; the kernel's gradient is one product for all slices, where plain
    autograd makes one per slice and adds them up. Taps that only ever meet the padding are left out.
    """

    @staticmethod
    def forward(ctx: Any, x_LNWC: Tensor, weight: Tensor) -> Tensor:
        L, N, W, C = x_LNWC.shape
        reach = min(weight.shape[2] // 2, W - 1)
        kernel = _taps(weight, reach).permute(2, 1, 0).reshape(-1, C)
        state = x_LNWC.new_zeros(L, N, W + 2 * reach, C)
        inner = state[:, :, reach : reach + W]
        inner.copy_(x_LNWC)
        messages = x_LNWC.new_empty(L - 1, N * W, C)
        for i in range(1, L):
            torch.mm(_columns(state[i - 1], reach), kernel, out=messages[i - 1]).relu_()
            inner[i] += messages[i - 1].view(N, W, C)
        ctx.save_for_backward(state, messages, weight)
        return inner.clone()

    @staticmethod
    def backward(ctx: Any, grad_LNWC: Tensor) -> tuple[Tensor, Tensor]:
        state, messages, weight = ctx.saved_tensors
        L, N, W, C = grad_LNWC.shape
        reach = min(weight.shape[2] // 2, W - 1)
        kernel = _taps(weight, reach).flip(2).permute(2, 0, 1).reshape(-1, C)
        grad = grad_LNWC.clone(memory_format=torch.contiguous_format)
        sent = state.new_zeros(L - 1, N, W + 2 * reach, C)
        inner = sent[:, :, reach : reach + W]
        for i in range(L - 1, 0, -1):
            torch.mul(grad[i], messages[i - 1].view(N, W, C) > 0, out=inner[i - 1])
            grad[i - 1].view(N * W, C).addmm_(_columns(sent[i - 1], reach), kernel)
        grad_weight = torch.zeros_like(weight)
        if L > 1:
            seen = _columns(state[:-1].reshape(-1, W + 2 * reach, C), reach)
            product = seen.t() @ inner.reshape(-1, C)
            _taps(grad_weight, reach).copy_(product.view(2 * reach + 1, C, C).permute(2, 1, 0))
        return grad, grad_weight


def _taps(weight: Tensor, reach: int) -> Tensor:
    """Return the taps at most ``reach`` from the middle, as a view."""
    middle = weight.shape[2] // 2
    return weight[:, :, middle - reach : middle + reach + 1]


def _columns(padded_NWC: Tensor, reach: int) -> Tensor:
    """Return (N * W, taps * C): beside each position its neighbours, from a contiguous padded (N, W + 2 reach, C)."""
    N, P, C = padded_NWC.shape
    W = P - 2 * reach
    windows = padded_NWC.as_strided((N, W, (2 * reach + 1) * C), (P * C, C, 1), padded_NWC.storage_offset())
    return windows.reshape(N * W, -1)
