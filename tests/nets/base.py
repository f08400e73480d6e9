"""What every network owes. A network's test names its options, its parameter count and some logits."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest
import torch

from covidseg import nets


class NetTest:
    """Base of the networks' tests: subclass it and set the four attributes.

    LOGITS: the middle row of the first channel, every 16th column, in train mode (in eval mode the untrained running
    means leave little of the input), after seed 0, for ``picture(2, (64, 64))``.
    """

    NET: ClassVar[dict[str, Any]]
    SMALL: ClassVar[dict[str, Any]] = {"width": 0.125}
    PARAMETERS: ClassVar[dict[tuple[int, int], int]]
    LOGITS: ClassVar[list[float]]

    def small(self, in_channels: int = 2, out_channels: int = 3) -> torch.nn.Module:
        torch.manual_seed(0)
        return nets.build(self.NET | self.SMALL, in_channels, out_channels)

    def test_forward_and_backward(self) -> None:
        net = self.small()
        logits = net(picture(2))["logits"]
        assert logits.shape == (2, 3, 32, 32)
        logits.square().mean().backward()
        without = [name for name, p in net.named_parameters() if p.grad is None or not torch.isfinite(p.grad).all()]
        assert without == []

    @pytest.mark.parametrize("size", [(33, 47), (64, 35), (17, 80)])
    def test_odd_sizes(self, size: tuple[int, int]) -> None:
        assert self.small()(picture(2, size))["logits"].shape == (2, 3, *size)

    def test_a_batch_gives_what_its_slices_give(self) -> None:
        net, x = self.small().eval(), picture(2)
        with torch.no_grad():
            one = torch.cat([net(x[i : i + 1])["logits"] for i in range(2)])
            torch.testing.assert_close(net(x)["logits"], one, rtol=1e-4, atol=1e-4)

    def test_weights_carry_over(self) -> None:
        net, other = self.small().eval(), nets.build(self.NET | self.SMALL, 2, 3).eval()
        with torch.no_grad():
            assert not torch.equal(net(picture(2))["logits"], other(picture(2))["logits"])
            other.load_state_dict(net.state_dict())
            assert torch.equal(net(picture(2))["logits"], other(picture(2))["logits"])

    def test_parameter_count(self) -> None:
        assert {channels: nets.count(self.NET, *channels) for channels in self.PARAMETERS} == self.PARAMETERS

    def test_stored_logits(self) -> None:
        with torch.no_grad():
            logits = self.small()(picture(2, (64, 64)))["logits"]
        torch.testing.assert_close(logits[0, 0, 32, ::16], torch.tensor(self.LOGITS), rtol=0, atol=1e-3)


def picture(channels: int, size: tuple[int, int] = (32, 32)) -> torch.Tensor:
    """Return a smooth batch (2, channels, *size) in 0..1, the same on every machine."""
    y, x = torch.meshgrid(torch.arange(size[0]) / 5, torch.arange(size[1]) / 7, indexing="ij")
    waves = [torch.sin(y * (n + 1) + x) * torch.cos(x * (n + 2)) for n in range(2 * channels)]
    return (torch.stack(waves).view(2, channels, *size) + 1) / 2
