"""Spatial convolution against the recurrence written out, x_i <- x_i + relu(conv(x_(i-1)))."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from covidseg.nets.spatial import SpatialConv


def written_out(net: SpatialConv, x: torch.Tensor) -> torch.Tensor:
    for number, conv in enumerate(net.passes):
        dim = 2 if number < 2 else 3
        slices = [s.squeeze(dim) for s in x.split(1, dim)]
        slices = slices[::-1] if number % 2 else slices
        done = [slices[0]]
        for s in slices[1:]:
            done.append(s + F.relu(conv(done[-1])))
        x = torch.stack(done[::-1] if number % 2 else done, dim)
    return x


@pytest.mark.parametrize(("height", "width"), [(6, 5), (2, 9), (1, 4), (3, 1), (1, 1), (12, 12)])
def test_values_and_gradients_are_those_of_the_recurrence(height: int, width: int) -> None:
    torch.manual_seed(1)
    net = SpatialConv(8)
    x = torch.randn(2, 8, height, width).to(memory_format=torch.channels_last).requires_grad_()
    wanted, found = written_out(net, x), net(x)
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)
    g = torch.randn_like(wanted)
    inputs = [x, *(p for p in net.parameters())]
    for a, b in zip(
        torch.autograd.grad(found, inputs, g),
        torch.autograd.grad(wanted, inputs, g, allow_unused=True),
        strict=True,
    ):
        torch.testing.assert_close(a, torch.zeros_like(a) if b is None else b, rtol=1e-4, atol=1e-5)


def test_by_hand() -> None:
    """One channel, only the middle tap, 1: a column (1, 2, -4) is 1, 3, -1 after going down; -1 sends nothing up."""
    net = SpatialConv(1)
    with torch.no_grad():
        for conv in net.passes:
            conv.weight.zero_()
        net.passes[0].weight[0, 0, 4] = net.passes[1].weight[0, 0, 4] = 1
        found = net(torch.tensor([1.0, 2.0, -4.0]).view(1, 1, 3, 1)).flatten().tolist()
    assert found == [1 + 3, 3, -1]


@pytest.mark.parametrize("corner", [(0, 0), (0, 6), (6, 0), (6, 6)])
def test_every_corner_is_seen_in_the_opposite_one(corner: tuple[int, int]) -> None:
    torch.manual_seed(0)
    net = SpatialConv(4)
    x = torch.rand(1, 4, 7, 7, requires_grad=True)
    y = net(x)[0, :, 6 - corner[0], 6 - corner[1]].sum()
    (gradient,) = torch.autograd.grad(y, x)
    assert gradient[0, :, corner[0], corner[1]].abs().max() > 0


def test_gradients_numerically() -> None:
    torch.manual_seed(0)
    net = SpatialConv(2, kernel=3).double()
    net.forward = lambda x: net._both_ways(  # type: ignore[method-assign] # without the cast to float32
        net._both_ways(x.permute(2, 0, 3, 1), 0).transpose(0, 2), 2
    ).permute(1, 3, 2, 0)
    x = torch.rand(1, 2, 3, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(net.forward, (x,))
