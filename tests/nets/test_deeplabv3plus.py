"""DeepLabV3+; segmentation-models-pytorch's with resnet50 has 26,677,585 parameters for three channels and one class.

By pencil: ResNet-50 23,508,032; pyramid 2 x 524,800 (1x1 from 2048 to 256, normalised), 3 x 543,232 (separable),
328,192 (1280 to 256); 12,384 for the first stage's 48 channels; decoder 81,072 (304 to 256) and 68,352 (256 to 256);
257 for one class.
"""

from __future__ import annotations

from typing import ClassVar

import pytest
import torch

from covidseg import nets
from covidseg.base.errors import UserError
from covidseg.nets.deeplabv3plus import Pyramid, separable
from covidseg.nets.resnet import ResNet
from tests.nets.base import NetTest, picture

BY_PENCIL = 23_508_032 + 2 * 524_800 + 3 * 543_232 + 328_192 + 12_384 + 81_072 + 68_352 + 257


class TestStride16(NetTest):
    NET: ClassVar = {"name": "deeplabv3plus"}
    PARAMETERS: ClassVar = {(3, 1): 26_677_585, (1, 3): BY_PENCIL + 2 * 257, (2, 1): BY_PENCIL - 64 * 49}
    LOGITS: ClassVar = [0.3041, 0.0059, -0.1456, 0.2344]


class TestStride8(NetTest):
    NET: ClassVar = {"name": "deeplabv3plus", "output_stride": 8}
    PARAMETERS: ClassVar = {(3, 1): 26_677_585}
    LOGITS: ClassVar = [-0.1958, 0.6177, 0.0213, 0.3062]


@pytest.mark.parametrize("output_stride", [8, 16])
def test_a_dilated_encoder_computes_the_strided_one_at_every_pixel(output_stride: int) -> None:
    torch.manual_seed(0)
    strided, dense = ResNet(2, 0.125).eval(), ResNet(2, 0.125, output_stride).eval()
    dense.load_state_dict(strided.state_dict())
    x = picture(2, (96, 64))
    with torch.no_grad():
        for a, b in zip(strided(x), dense(x), strict=True):
            step = b.shape[2] // a.shape[2]
            torch.testing.assert_close(b[:, :, ::step, ::step], a, rtol=1e-4, atol=1e-5)
        assert [96 // m.shape[2] for m in dense(x)] == [4, 8, min(16, output_stride), output_stride]


def test_rates_follow_the_stride_unless_given() -> None:
    def rates(**options: object) -> list[int]:
        net = nets.build({"name": "deeplabv3plus", "width": 0.125, **options}, 1, 1)
        return [branch[0].dilation[0] for branch in net.pyramid.dilated]  # type: ignore[union-attr,index]

    assert rates() == [6, 12, 18]
    assert rates(output_stride=8) == [12, 24, 36]
    assert rates(output_stride=8, rates=[1, 2, 3]) == [1, 2, 3]
    for wrong in ([1, 2], [0, 1, 2], [1, 2, 2.5]):
        with pytest.raises(UserError, match=r"net\.rates: must be three whole numbers from 1"):
            rates(rates=wrong)


def test_a_single_slice_can_be_learned() -> None:
    net = nets.build({"name": "deeplabv3plus", "width": 0.125}, 1, 1).train()
    net(picture(1, (64, 64))[:1])["logits"].square().mean().backward()
    assert all(torch.isfinite(p.grad).all() for p in net.parameters())


def test_spreading_the_mean_first_changes_nothing() -> None:
    torch.manual_seed(0)
    pyramid, x = Pyramid(8, 4, [1, 2, 3], separable).train(), torch.rand(3, 8, 5, 6)
    with torch.no_grad():
        mean = pyramid.mean(x.mean((2, 3), keepdim=True))
        spread = pyramid.spread(mean.expand(-1, -1, 5, 6))
        torch.testing.assert_close(spread, pyramid.spread(mean).expand(-1, -1, 5, 6))
