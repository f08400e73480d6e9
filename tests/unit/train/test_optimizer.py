"""Our one-vector Adam and SGD against torch.optim."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from covidseg import schema
from covidseg.train.optimizer import FlatParameters, Optimizer


def network() -> nn.Sequential:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(2, 5, 3, padding=1, bias=False), nn.BatchNorm2d(5), nn.ReLU(), nn.Conv2d(5, 1, 1))
    return net.to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


@pytest.mark.parametrize(
    ("settings", "reference"),
    [
        ({"name": "adam", "lr": 0.01}, lambda p: torch.optim.Adam(p, lr=0.01)),
        ({"name": "adam", "weight_decay": 0.1}, lambda p: torch.optim.Adam(p, lr=1e-3, weight_decay=0.1)),
        ({"name": "sgd", "lr": 0.1}, lambda p: torch.optim.SGD(p, lr=0.1)),
        (
            {"name": "sgd", "lr": 0.1, "momentum": 0.9, "weight_decay": 0.01},
            lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.01),
        ),
    ],
)
def test_the_same_as_torch(settings: dict[str, Any], reference: Any) -> None:
    ours, theirs = network(), network()
    mine = Optimizer(FlatParameters(ours), schema.Optimizer(**settings))
    other = reference(theirs.parameters())
    for step in range(5):
        x = torch.rand(3, 2, 6, 6, generator=torch.Generator().manual_seed(step))
        ours(x).square().mean().backward()
        theirs(x).square().mean().backward()
        mine.step(0)
        other.step()
        other.zero_grad()
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)


def test_the_model_sees_the_vector_and_keeps_its_layout() -> None:
    net = network()
    flat = FlatParameters(net)
    assert flat.count == sum(p.numel() for p in net.parameters()) == 2 * 5 * 9 + 5 + 5 + 5 + 1
    assert net[0].weight.is_contiguous(memory_format=torch.channels_last)
    flat.values.zero_()
    assert net[0].weight.abs().sum() == 0


def test_rate_falls_in_steps() -> None:
    optimizer = Optimizer(FlatParameters(network()), schema.Optimizer(lr=1.0, step=3, factor=0.1))
    assert [optimizer.rate(epoch) for epoch in (0, 2, 3, 5, 6)] == pytest.approx([1, 1, 0.1, 0.1, 0.01])
    assert Optimizer(FlatParameters(network()), schema.Optimizer(lr=1.0)).rate(500) == 1.0


def test_rate_collapses() -> None:
    """By epoch, from 1, with a step of 3: 1 1 | 0.1 0.1 0.1 | 0.01, each on top of those before."""
    optimizer = Optimizer(FlatParameters(network()), schema.Optimizer(lr=1.0, step=3, factor=0.1, collapse=True))
    assert [optimizer.rate(epoch) for epoch in range(6)] == pytest.approx([1, 1, 1e-1, 1e-2, 1e-3, 1e-5])
    released = Optimizer(FlatParameters(network()), schema.Optimizer(lr=1e-4, step=50, factor=0.1, collapse=True))
    assert [released.rate(e - 1) for e in (49, 50, 51, 99)] == pytest.approx([1e-4, 1e-5, 1e-6, 1e-54], rel=1e-9)


def test_gradients_are_clamped() -> None:
    """Plain SGD at rate 1: a parameter moves by its gradient, cut to 0.5."""
    net = nn.Linear(3, 1, bias=False)
    flat = FlatParameters(net)
    flat.values.zero_()
    net(torch.tensor([0.25, -3.0, 0.5])).sum().backward()
    Optimizer(flat, schema.Optimizer(name="sgd", lr=1.0, clamp=0.5)).step(0)
    assert net.weight.flatten().tolist() == [-0.25, 0.5, -0.5]


def test_a_snapshot_brings_back_weights_and_running_means() -> None:
    net = network()
    flat = FlatParameters(net)
    x = torch.rand(2, 2, 4, 4)
    before, snapshot = net.eval()(x), flat.snapshot()
    net.train()(x)
    flat.values.add_(1.0)
    assert not torch.equal(net.eval()(x), before)
    flat.restore(snapshot)
    assert torch.equal(net.eval()(x), before)


RESTARTED = {"lr": 0.01, "step": 10, "factor": 0.1, "restart": {"epoch": 50, "lr": 0.001}}


def test_rate_after_a_restart() -> None:
    """SCOAT-Net: from 0.01 a tenth every ten epochs, and from epoch 50 on again so from 0.001."""
    optimizer = Optimizer(FlatParameters(network()), schema.Optimizer(**RESTARTED))
    assert [optimizer.rate(epoch) for epoch in (0, 10, 50, 60)] == pytest.approx([1e-2, 1e-3, 1e-3, 1e-4])
    assert [epoch for epoch in range(100) if optimizer.restarts(epoch)] == [50]


def test_no_restart_leaves_no_trace_in_the_dump() -> None:
    assert "restart" not in schema.Optimizer().model_dump()
    assert schema.Optimizer(**RESTARTED).model_dump()["restart"] == {"epoch": 50, "lr": 0.001}
