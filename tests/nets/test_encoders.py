"""The encoders take the published ImageNet weights as they are: their keys, shapes and counts."""

from __future__ import annotations

import pytest
import torch

from covidseg.nets.res2net import Bottle2neck, Res2Net
from covidseg.nets.resnet import ResNet
from covidseg.nets.vgg import VGG


@pytest.mark.parametrize(
    ("encoder", "entries", "parameters", "some"),
    [
        (
            Res2Net,  # res2net50_v1b_26w_4s-3cf99910.pth: 25,718,352 parameters and 524 entries with fc
            522,
            25_718_352 - 2_049_000,
            {
                "conv1.0.weight": (32, 3, 3, 3),
                "conv1.4.running_var": (32,),
                "conv1.6.weight": (64, 32, 3, 3),
                "bn1.bias": (64,),
                "layer1.0.conv1.weight": (104, 64, 1, 1),
                "layer1.0.convs.2.weight": (26, 26, 3, 3),
                "layer2.3.bns.1.weight": (52,),
                "layer3.0.downsample.1.weight": (1024, 512, 1, 1),
                "layer4.0.downsample.2.running_mean": (2048,),
                "layer4.2.conv3.weight": (2048, 832, 1, 1),
            },
        ),
        (
            ResNet,  # resnet50 of torchvision: 25,557,032 parameters and 320 entries with fc
            318,
            25_557_032 - 2_049_000,
            {
                "conv1.weight": (64, 3, 7, 7),
                "layer1.0.downsample.0.weight": (256, 64, 1, 1),
                "layer4.2.conv2.weight": (512, 512, 3, 3),
            },
        ),
        (
            VGG,  # vgg16 of torchvision: 14,714,688 parameters in its 13 convolutions
            26,
            14_714_688,
            {"features.0.weight": (64, 3, 3, 3), "features.28.bias": (512,)},
        ),
    ],
)
def test_the_layout_of_the_published_weights(
    encoder: type, entries: int, parameters: int, some: dict[str, tuple[int, ...]]
) -> None:
    with torch.device("meta"):
        net = encoder(3)
    state = net.state_dict()
    assert {key: tuple(state[key].shape) for key in some} == some
    assert len(state) == entries
    assert sum(p.numel() for p in net.parameters()) == parameters


@pytest.mark.parametrize(
    ("encoder", "shapes"),
    [
        (Res2Net, [(32, 16, 24), (64, 8, 12), (128, 4, 6), (256, 2, 3)]),
        (ResNet, [(32, 16, 24), (64, 8, 12), (128, 4, 6), (256, 2, 3)]),
        (VGG, [(8, 64, 96), (16, 32, 48), (32, 16, 24), (64, 8, 12), (64, 4, 6)]),
    ],
)
def test_maps(encoder: type, shapes: list[tuple[int, ...]]) -> None:
    net = encoder(3, 0.125)
    assert [tuple(m.shape[1:]) for m in net(torch.rand(1, 3, 64, 96))] == shapes
    assert net.channels == [shape[0] for shape in shapes]


@pytest.mark.parametrize(("first", "expected"), [(False, [1, 1 + 2, 1 + 2 + 3, 4]), (True, [1, 2, 3, 4 * 4 / 9])])
def test_splits_by_hand(first: bool, expected: list[float]) -> None:
    """One channel a split, 1 2 3 4, convolutions that change nothing: each takes its neighbour along, or none does.

    The average of the first block is over 3x3 pixels; in a picture of 2x2 five of them are padding.
    """
    in_channels = 4 if first else 16
    net = Bottle2neck(in_channels, 4, 1, first).eval()
    seen: list[torch.Tensor] = []
    net.conv3.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    with torch.no_grad():
        torch.nn.init.dirac_(net.conv1.weight)
        for conv in net.convs:
            torch.nn.init.dirac_(conv.weight)
        net((torch.arange(in_channels) + 1.0).view(1, -1, 1, 1).expand(1, -1, 2, 2))
    assert seen[0][0, :, 0, 0].tolist() == pytest.approx(expected, rel=1e-4)
