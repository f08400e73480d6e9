"""Options read from the source, and what is said about wrong ones."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from covidseg import losses, nets
from covidseg.base.errors import UserError
from covidseg.base.signature import Parameter, read

LEGAL = ", ".join(nets.NETS.names)


def test_the_registry_is_the_listing_of_the_folder_without_its_helpers() -> None:
    assert {"deeplabv3plus", "dynunet", "fcn8s", "infnet", "ssanet", "unet", "unetplusplus"} <= {*nets.NETS.names}
    assert not {"layers", "library", "published", "res2net", "resnet", "spatial", "vgg"} & {*nets.NETS.names}
    assert {"cross_entropy", "dice", "edge", "self_attention", "structure"} <= {*losses.LOSSES.names}
    assert not {"edge_maps", "reweight", "targets"} & {*losses.LOSSES.names}


def test_options_of_a_network() -> None:
    assert nets.options("ssanet") == {
        "width": Parameter("float", 1.0),
        "spatial_conv": Parameter("bool", True),
        "skip": Parameter("choice", "concat", ("concat", "add")),
    }


def test_options_of_a_loss_begin_with_the_common_ones() -> None:
    assert list(losses.options("dice")) == ["weight", "from_epoch", "smoothing", "over", "squares"]


@pytest.mark.parametrize(
    ("net", "message"),
    [
        ({}, f"m4.net.name: missing; legal: {LEGAL}"),
        ({"name": "sanet"}, "m4.net.name: unknown network 'sanet'; did you mean 'ssanet'?"),
        ({"name": 3}, f"m4.net.name: unknown network '3'; legal: {LEGAL}"),
        ({"name": "ssanet", "spatial_con": True}, "m4.net.spatial_con: unknown key; did you mean 'spatial_conv'?"),
        ({"name": "ssanet", "skip": "ad"}, "m4.net.skip: unknown value 'ad'; did you mean 'add'?"),
        ({"name": "ssanet", "spatial_conv": 1}, "m4.net.spatial_conv: expected true or false (found '1')"),
        ({"name": "unet", "width": True}, "m4.net.width: expected a number (found 'True')"),
        ({"name": "unet", "width": float("nan")}, "m4.net.width: expected a number (found 'nan')"),
    ],
)
def test_wrong_networks(net: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as e:
        nets.check(net, "m4")
    assert str(e.value) == message


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"dize": {}}, "m4.losses.dize: unknown loss 'dize'; did you mean 'dice'?"),
        ({"dice": {"smooth": 1}}, "m4.losses.dice.smooth: unknown key; did you mean 'smoothing'?"),
        ({"dice": {"weight": "high"}}, "m4.losses.dice.weight: expected a number (found 'high')"),
        ({"dice": {"from_epoch": 1.5}}, "m4.losses.dice.from_epoch: expected a whole number (found '1.5')"),
        ({"dice": {"from_epoch": -1}}, "m4.losses.dice.from_epoch: must be 0 or more (found -1)"),
        ({"cross_entropy": {"class_weights": [1, "2"]}}, "m4.losses.cross_entropy.class_weights: expected numbers"),
        ({"dice": {"from_epoch": 5}}, "m4.losses: none is on in the first epoch; set from_epoch: 0 for at least one"),
        ({}, "m4.losses: none is on in the first epoch"),
    ],
)
def test_wrong_losses(given: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as e:
        losses.check(given, "m4")
    assert str(e.value).startswith(message)


def test_right_ones_pass() -> None:
    nets.check({"name": "ssanet", "width": 1, "skip": "add"}, "m4")
    losses.check({"dice": {"weight": 2}, "cross_entropy": {"class_weights": [1, 2.5]}}, "m4")


def test_width_must_be_above_zero() -> None:
    with pytest.raises(UserError, match=r"net\.width: must be above 0"):
        nets.build({"name": "unet", "width": 0}, 1, 1)


def test_an_option_without_default_is_refused(tmp_path: Path) -> None:
    (tmp_path / "new_net.py").write_text("class NewNet:\n    def __init__(self, a, b, *, c: int): ...\n")
    with pytest.raises(ValueError, match="c needs a default"):
        read(tmp_path / "new_net.py", 3)


def test_planning_imports_no_torch() -> None:
    code = (
        "import sys; from covidseg import losses, nets; nets.check({'name': 'ssanet'}, ''); "
        "losses.check({'dice': {}}, ''); import covidseg.train; sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
