"""Networks that give one logit a slice and a map of where it comes from."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest
import torch

from covidseg import nets
from covidseg.nets.resnet38d import WideResNet38
from tests.nets.base import every, picture


class ClassifierTest:
    """Base of the classifiers' tests: subclass it and set NET, OPTIONS and PARAMETERS (1 in, 1 out)."""

    NET: ClassVar[str]
    OPTIONS: ClassVar[dict[str, Any]] = {}
    PARAMETERS: ClassVar[int]
    SMALL: ClassVar[dict[str, Any]] = {"width": 0.125, "init": "random"}

    def small(self) -> torch.nn.Module:
        torch.manual_seed(0)
        return nets.build({"name": self.NET, **self.OPTIONS, **self.SMALL}, 1, 1)

    def test_forward_and_backward(self) -> None:
        net = self.small().train()
        outputs = net(picture(1, (64, 48)))
        assert outputs["logits"].shape == (2, 1, 1, 1)
        assert outputs["cam"].shape == (2, 1, 8, 6)
        sum(o.square().mean() for o in every(outputs)).backward()
        without = [name for name, p in net.named_parameters() if p.grad is None or not torch.isfinite(p.grad).all()]
        assert without == []

    def test_odd_sizes(self) -> None:
        outputs = self.small().eval()(picture(1, (33, 47)))
        assert outputs["logits"].shape == (2, 1, 1, 1)
        assert outputs["cam"].shape == (2, 1, 5, 6)

    def test_a_batch_gives_what_its_slices_give(self) -> None:
        net, x = self.small().eval(), picture(1, (48, 48))
        with torch.no_grad():
            whole, one = net(x), [net(x[i : i + 1]) for i in range(2)]
        for key in ("logits", "cam"):
            torch.testing.assert_close(whole[key], torch.cat([o[key] for o in one]), rtol=1e-3, atol=1e-3)

    def test_parameter_count(self) -> None:
        net = {"name": self.NET, **self.OPTIONS, "init": "random"}
        assert nets.count(net, 1, 1) == self.PARAMETERS

    def test_normalisation_is_frozen_from_imagenets_weights(self) -> None:
        net = nets.build({"name": self.NET, **self.OPTIONS, **self.SMALL, "init": "imagenet"}, 1, 1).train()
        norms = [m for m in net.get_submodule("encoder").modules() if isinstance(m, torch.nn.BatchNorm2d)]
        assert norms
        assert not any(norm.training or norm.weight.requires_grad for norm in norms)


class TestClassifier(ClassifierTest):
    NET: ClassVar = "classifier"
    PARAMETERS: ClassVar = 105_075_106  # trunk 105,070,912, 4,096 of the last layer, 2 x 49 of the attention


class TestWithoutAttention(ClassifierTest):
    NET: ClassVar = "classifier"
    OPTIONS: ClassVar = {"attention": False}
    PARAMETERS: ClassVar = 105_075_008


class TestResNet50(ClassifierTest):
    NET: ClassVar = "classifier"
    OPTIONS: ClassVar = {"encoder": "resnet50"}
    PARAMETERS: ClassVar = 23_508_032 + 2_048 + 98


class TestSEAM(ClassifierTest):
    NET: ClassVar = "seam"
    PARAMETERS: ClassVar = 105_075_008 + 64 * 512 + 128 * 1_024 + 192 * (192 + 3)


class TestICD(ClassifierTest):
    NET: ClassVar = "icd"
    PARAMETERS: ClassVar = 105_075_008 + 4_096 + 1_024 * 4_097 + 1_024 * 1_025 + 4_096 + 2_048


def test_the_trunk_is_resnet_38d() -> None:
    with torch.device("meta"):
        assert sum(p.numel() for p in WideResNet38(3).parameters()) == 105_070_912


def test_the_logit_is_the_mean_of_the_map() -> None:
    """Zhou et al., CVPR 2016, eq. 2: pooling before the linear layer equals the mean of the activation map."""
    net = nets.build({"name": "classifier", "width": 0.125, "init": "random"}, 1, 1).eval()
    with torch.no_grad():
        outputs = net(picture(1, (32, 32)))
    torch.testing.assert_close(outputs["cam"].mean((2, 3), keepdim=True), outputs["logits"])


def test_attention_of_zero_weights_halves_every_place() -> None:
    torch.manual_seed(0)
    net = nets.build({"name": "classifier", "width": 0.125, "init": "random"}, 1, 1).eval()
    plain = nets.build({"name": "classifier", "width": 0.125, "init": "random", "attention": False}, 1, 1).eval()
    plain.load_state_dict(net.state_dict(), strict=False)
    with torch.no_grad():
        net.get_submodule("attention").weight.zero_()  # type: ignore[operator,union-attr]
        torch.testing.assert_close(net(picture(1))["cam"], plain(picture(1))["cam"] / 2)


def test_seam_refines_between_equal_places_only() -> None:
    net = nets.build({"name": "seam", "width": 0.125, "init": "random"}, 1, 1).train()
    view, refined, small, _ = net(picture(1, (64, 64)))["views"]
    assert view.shape == refined.shape == (2, 2, 8, 8)
    assert small.shape == (2, 2, 3, 3)  # 0.3 times 64 is 19 pixels
    torch.testing.assert_close(refined.sum(1), torch.ones(2, 8, 8), rtol=0, atol=1e-2)  # shares stay shares


@pytest.mark.parametrize("name", ["classifier", "seam", "icd"])
def test_maps_of_a_classifier_have_its_stride(name: str) -> None:
    assert nets.planning(name)["stride"] == 8
