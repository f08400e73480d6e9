"""nnU-Net's network; the counts are those of MONAI's own class with its defaults, and add up by hand.

A level from c to k channels has 9ck + 9kk + 4k parameters, one back up from k to c 4kc + 27cc + 4c, the head
32 x out + out: 22,118,240 down, 24,191,456 up and 33 for two channels in and one out.
"""

from __future__ import annotations

import subprocess
import sys
from typing import ClassVar

import pytest
import torch

from covidseg import nets
from covidseg.base.errors import UserError
from tests.nets.base import NetTest, picture


class TestDynUNet(NetTest):
    NET: ClassVar = {"name": "dynunet"}
    SMALL: ClassVar = {"width": 0.125, "levels": 4}
    PARAMETERS: ClassVar = {(2, 1): 46_309_729, (1, 1): 46_309_729 - 9 * 32, (2, 3): 46_309_729 + 2 * 33}
    LOGITS: ClassVar = [-0.0043, -0.1357, -0.0868, -0.1054]


def test_eight_levels_train_on_slices_smaller_than_their_depth() -> None:
    net = nets.build({"name": "dynunet", "width": 0.125}, 2, 1).train()
    logits = net(picture(2, (64, 64)))["logits"]
    logits.square().mean().backward()
    assert logits.shape == (2, 1, 64, 64)
    assert all(torch.isfinite(p.grad).all() for p in net.parameters())


def test_each_weight_has_one_name() -> None:
    net = nets.build({"name": "dynunet", "width": 0.125}, 2, 1)
    assert sum(value.numel() for value in net.state_dict().values()) == sum(p.numel() for p in net.parameters())


def test_there_must_be_something_between_top_and_bottom() -> None:
    with pytest.raises(UserError, match=r"net\.levels: must be 3 to 10 \(found 2\)"):
        nets.build({"name": "dynunet", "levels": 2}, 1, 1)


def test_only_this_network_loads_monai_and_without_what_it_can_do_without() -> None:
    code = (
        "import sys; from covidseg import nets; "
        "nets.build({'name': 'ssanet', 'width': 0.125}, 1, 1); assert 'monai' not in sys.modules; "
        "nets.build({'name': 'dynunet', 'width': 0.125}, 1, 1); assert 'monai' in sys.modules; "
        "assert not {'matplotlib', 'pandas', 'scipy'} & {*sys.modules}; import scipy.ndimage"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
