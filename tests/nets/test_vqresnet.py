from __future__ import annotations

from typing import Any, ClassVar

import pytest
import torch

from covidseg import losses, nets
from covidseg.base.errors import UserError
from covidseg.nets.discriminator import Discriminator
from covidseg.nets.quantize import Codebook
from covidseg.nets.resnet import ResNet
from tests.nets.base import NetTest, picture


class TestVQResNet(NetTest):
    NET: ClassVar[dict[str, Any]] = {"name": "vqresnet"}
    PARAMETERS: ClassVar = {(1, 3): 26_514_628}
    LOGITS: ClassVar = [-0.3046, -0.3474, 0.4042, -0.0497]

    def test_a_batch_gives_what_its_slices_give(self) -> None:
        """But for positions whose two nearest codes are as good as equally near."""
        net, x = self.small().eval(), self.picture()
        with torch.no_grad():
            one = torch.cat([net(x[i : i + 1])["logits"] for i in range(2)])
            assert ((net(x)["logits"] - one).abs() < 1e-4).float().mean() > 0.9


class TestBackbone(NetTest):
    """By pencil: the trunk 23,508,032 (He et al.), 2048 x 256 + 512, 256 x 256 x 9 + 512, 256 x 128 x 9 + 256, 387."""

    NET: ClassVar[dict[str, Any]] = {"name": "vqresnet", "vq": False}
    PARAMETERS: ClassVar = {(1, 3): 23_508_032 + 524_800 + 590_336 + 295_168 + 387}
    LOGITS: ClassVar = [0.0387, 0.0565, -0.1139, 0.1371]


def test_the_trunk_has_the_parameters_of_resnet50() -> None:
    with torch.device("meta"):
        assert sum(p.numel() for p in ResNet(3).parameters()) == 23_508_032


def test_the_branch_without_reconstruction_learns_its_codes_only() -> None:
    net = nets.build({"name": "vqresnet", "width": 0.125, "reconstruction": False}, 1, 3)
    assert sorted(net(picture(1))) == ["logits", "vq"]
    with pytest.raises(UserError, match="does not reconstruct images; set vq: true and reconstruction: true"):
        net.reconstruct(picture(1))


def test_a_reconstruction_has_the_size_and_range_of_its_image() -> None:
    net = nets.build({"name": "vqresnet", "width": 0.125}, 1, 3).eval()
    with torch.no_grad():
        image = net.reconstruct(picture(1, (33, 47)))
    assert image.shape == (2, 1, 33, 47)
    assert 0 <= image.min() <= image.max() <= 1


def test_features_become_their_nearest_code_with_the_gradient_of_the_identity() -> None:
    """To codes (0, 0), (3, 0) and (0, 4) the features (1, 1), (2, 0) and (1, 3) lie nearest."""
    book = Codebook(3, 2)
    with torch.no_grad():
        book.codes.copy_(torch.tensor([[0.0, 0.0], [3.0, 0.0], [0.0, 4.0]]))
    z = torch.tensor([[1.0, 1.0], [2.0, 0.0], [1.0, 3.0]]).t()[None, :, None].requires_grad_()
    quantised, codes = book(z)
    assert quantised[0, :, 0].t().tolist() == codes[0, :, 0].t().tolist() == [[0, 0], [3, 0], [0, 4]]
    assert book.used.tolist() == [0, 1, 2]
    weights = torch.arange(6.0).view(1, 2, 1, 3)
    (quantised * weights).sum().backward()
    assert z.grad is not None
    assert torch.equal(z.grad, weights)
    assert book.codes.grad is None


def test_the_discriminator() -> None:
    """2,764,737 parameters, as AdvSemiSeg's for three classes."""
    net = Discriminator(3)
    assert sum(p.numel() for p in net.parameters()) == 2_764_737
    assert net(torch.rand(2, 3, 33, 47)).shape == (2, 1, 33, 47)


def test_vq_loss_by_hand() -> None:
    """Reconstruction (1 + 0) / 2 over the variance 1/4; codes 4 / 2 as they are and times beta 0.25: 2 + 2 + 0.5."""
    image, made = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 0.0])
    z, e = torch.tensor([2.0, 0.0], requires_grad=True), torch.tensor([0.0, 0.0], requires_grad=True)
    target, logits = torch.zeros(1, 1, 1, dtype=torch.uint8), torch.zeros(1, 1, 1, 1)
    value = losses.total({"vq": {}}, {"logits": logits, "vq": [z, e], "reconstruction": [image, made]}, target, 0)[0]
    assert value.item() == 4.5
    value.backward()
    assert z.grad is not None
    assert e.grad is not None
    assert z.grad.tolist() == [0.5, 0]  # beta times 2 (z - e) / n
    assert e.grad.tolist() == [-2, 0]
    assert (
        losses.total({"vq": {}}, {"logits": logits, "vq": [z, z]}, target, 0)[0].item() == 0
    )  # features on their codes
    with pytest.raises(UserError, match=r"losses\.vq: this network has no codebook or it is switched off; set net\.vq"):
        losses.total({"vq": {}}, {"logits": logits}, target, 0)
