"""What every network owes. A network's test names its options, its parameter count and some logits."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest
import torch

from covidseg import losses, nets
from covidseg.train.device import place


class NetTest:
    """Base of the networks' tests: subclass it and set NET, PARAMETERS and LOGITS.

    LOGITS: the middle row of the first channel, every 16th column, in train mode (in eval mode the untrained running
    means leave little of the input), after seed 0, for ``picture(in_channels, (64, 64))``. CHANNELS: in and out, for
    a network that takes no others.
    """

    NET: ClassVar[dict[str, Any]]
    SMALL: ClassVar[dict[str, Any]] = {"width": 0.125}
    CHANNELS: ClassVar[tuple[int, int]] = (2, 3)
    PARAMETERS: ClassVar[dict[tuple[int, int], int]]
    LOGITS: ClassVar[list[float]]

    def small(self) -> torch.nn.Module:
        torch.manual_seed(0)
        return nets.build(self.NET | self.SMALL, *self.CHANNELS)

    def picture(self, size: tuple[int, int] = (32, 32)) -> torch.Tensor:
        return picture(self.CHANNELS[0], size)

    def test_forward_and_backward(self) -> None:
        net = self.small()
        outputs = net(self.picture())
        assert outputs["logits"].shape == (2, self.CHANNELS[1], 32, 32)
        sum(o.square().mean() for o in every(outputs)).backward()
        without = [name for name, p in net.named_parameters() if p.grad is None or not torch.isfinite(p.grad).all()]
        assert without == []

    def test_outputs_that_losses_read_are_declared(self) -> None:
        read = {output for name in losses.names() for output in losses.reads(name)}
        declared = {output for output, lacks in nets.outputs(self.NET).items() if not lacks}
        assert read & set(self.small()(self.picture())) == declared

    @pytest.mark.parametrize("size", [(33, 47), (64, 35), (17, 80)])
    def test_odd_sizes(self, size: tuple[int, int]) -> None:
        assert self.small()(self.picture(size))["logits"].shape == (2, self.CHANNELS[1], *size)

    def test_a_batch_gives_what_its_slices_give(self) -> None:
        net, x = self.small().eval(), self.picture()
        with torch.no_grad():
            one = torch.cat([net(x[i : i + 1])["logits"] for i in range(2)])
            torch.testing.assert_close(net(x)["logits"], one, rtol=1e-4, atol=1e-4)

    def test_weights_carry_over(self) -> None:
        net, other, x = self.small().eval(), nets.build(self.NET | self.SMALL, *self.CHANNELS).eval(), self.picture()
        with torch.no_grad():
            assert not torch.equal(net(x)["logits"], other(x)["logits"])
            other.load_state_dict(net.state_dict())
            assert torch.equal(net(x)["logits"], other(x)["logits"])

    def test_parameter_count(self) -> None:
        assert {channels: nets.count(self.NET, *channels) for channels in self.PARAMETERS} == self.PARAMETERS

    def test_convolutions_in_bfloat16_have_the_gradients_of_float32(self) -> None:
        """torch 2.13 returns NaN for the weights of dilated depthwise convolutions in bfloat16 on a CPU."""
        seen: list[tuple[torch.nn.Conv2d | torch.nn.ConvTranspose2d, torch.Tensor]] = []
        net = place(self.small(), torch.device("cpu"))
        for layer in net.modules():
            if isinstance(layer, (torch.nn.Conv2d, torch.nn.ConvTranspose2d)):
                layer.register_forward_pre_hook(lambda layer, args: seen.append((layer, args[0].detach())))
        with torch.no_grad():
            net(self.picture((64, 64)))
        wrong = {}
        for layer, x in [*seen]:  # the hooks add to it
            exact, rounded = (gradients(layer, x, dtype) for dtype in (torch.float32, torch.bfloat16))
            far = max(float((b - a).norm() / (a.norm() + 1e-9)) for a, b in zip(exact, rounded, strict=True))
            if not far < 0.05:
                wrong[str(layer)] = far
        assert seen
        assert wrong == {}

    def test_stored_logits(self) -> None:
        with torch.no_grad():
            logits = self.small()(self.picture((64, 64)))["logits"]
        torch.testing.assert_close(logits[0, 0, 32, ::16], torch.tensor(self.LOGITS), rtol=0, atol=1e-3)


def picture(channels: int, size: tuple[int, int] = (32, 32)) -> torch.Tensor:
    """Return a smooth batch (2, channels, *size) in 0..1, the same on every machine."""
    y, x = torch.meshgrid(torch.arange(size[0]) / 5, torch.arange(size[1]) / 7, indexing="ij")
    waves = [torch.sin(y * (n + 1) + x) * torch.cos(x * (n + 2)) for n in range(2 * channels)]
    return (torch.stack(waves).view(2, channels, *size) + 1) / 2


def gradients(
    layer: torch.nn.Conv2d | torch.nn.ConvTranspose2d, x: torch.Tensor, dtype: torch.dtype
) -> tuple[torch.Tensor, ...]:
    """Return a layer's output and its gradients for input and weights, computed on a CPU in a precision."""
    x = x.clone().requires_grad_()
    with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
        y = layer(x).float()
    towards = torch.rand(y.shape, generator=torch.Generator().manual_seed(0)).to(memory_format=torch.channels_last)
    return y.detach(), *torch.autograd.grad(y, (x, layer.weight), towards - 0.5)


def every(outputs: dict[str, Any]) -> list[torch.Tensor]:
    """Return the logits and all auxiliary outputs."""
    found: list[torch.Tensor] = []
    for value in outputs.values():
        found += value.values() if isinstance(value, dict) else value if isinstance(value, list) else [value]
    return found
