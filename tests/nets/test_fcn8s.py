"""FCN-8s. 134,489,759 by hand, three channels and 21 classes as in its paper:

13 convolutions 14,714,688; hidden 512 * 49 * 4096 + 4096 and 4096 * 4096 + 4096; scores 21 * (4096 + 512 + 256) + 63;
enlarging 21 * 21 * (16 + 16 + 256).
"""

from __future__ import annotations

from typing import ClassVar

import pytest
import torch

from covidseg import nets
from covidseg.base.errors import UserError
from covidseg.nets.fcn8s import _bilinear
from tests.nets.base import NetTest


class TestFCN8s(NetTest):
    NET: ClassVar = {"name": "fcn8s"}
    SMALL: ClassVar = {"width": 0.125, "dropout": 0.0}  # what dropout draws is not the same on every machine
    PARAMETERS: ClassVar = {(3, 21): 134_489_759, (1, 1): 134_489_759 - 20 * 4_867 - 440 * 288}
    LOGITS: ClassVar = [0.067, 0.2246, 0.1632, 0.1467]


class TestNormalised(NetTest):
    """By hand: 4,224 normalised channels in VGG-16 and 8,192 in the hidden layers have two parameters each."""

    NET: ClassVar = {"name": "fcn8s", "norm": "batch"}
    SMALL: ClassVar = {"width": 0.125, "dropout": 0.0}
    PARAMETERS: ClassVar = {(3, 21): 134_489_759 + 2 * (4_224 + 8_192)}
    LOGITS: ClassVar = [1.1802, 3.3186, 2.0185, 2.4148]


def test_enlarging_begins_bilinear() -> None:
    """Between 4 and 8 in the middle of a row: a quarter and three quarters of the way; the second channel stays out."""
    with torch.no_grad():
        found = _bilinear(2, 2)(torch.tensor([[4.0, 8.0], [0.0, 0.0]]).view(1, 2, 1, 2).expand(1, 2, 3, 2))
    assert found[0, 0, 2].tolist() == [3.0, 5.0, 7.0, 6.0]  # beyond the border lies 0
    assert found[0, 1].abs().max() == 0


def test_dropout_must_leave_something() -> None:
    with pytest.raises(UserError, match=r"net\.dropout: must be 0 or more and below 1 \(found 1\)"):
        nets.build({"name": "fcn8s", "width": 0.125, "dropout": 1.0}, 1, 1)
