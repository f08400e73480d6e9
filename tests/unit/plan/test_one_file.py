"""A network, a loss: one new file in a folder, and planning, checks, building and counting know it.

That each kind of thing costs one file is counted in tests/workflow/test_one_file.py.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from covidseg import losses, nets
from covidseg.base.errors import UserError
from covidseg.plan import Plan
from covidseg.plan.needs import training_memory

NET = """
import torch
from torch import nn

PLANNING = {"weights_mib": 0.5, "kept_bytes": 8, "forward_bytes": 8, "stride": 1, "encoder": None}


class OneLayer(nn.Module):
    def __init__(self, in_channels: int, out_channels: int, *, width: float = 1.0, kernel: int = 3) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, kernel, padding=kernel // 2)

    def forward(self, x_NCHW):
        return {"logits": self.conv(x_NCHW)}
"""
LOSS = """
IGNORES_UNLABELLED = False


def absolute(outputs, target, *, power: float = 1.0):
    return (outputs["logits"][:, 0] - target).abs().pow(power).mean()
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder that belongs to the packages of networks and of losses."""
    monkeypatch.setattr(nets, "__path__", [*nets.__path__, str(tmp_path)])
    monkeypatch.setattr(losses, "__path__", [*losses.__path__, str(tmp_path)])
    (tmp_path / "one_layer.py").write_text(NET)
    (tmp_path / "absolute.py").write_text(LOSS)
    (tmp_path / "helper.py").write_text("class Helper:\n    def __init__(self): ...\n")
    return tmp_path


def test_a_network_is_one_file(folder: Path) -> None:
    assert "one_layer" in nets.NETS.names
    assert "helper" not in nets.NETS.names
    nets.check({"name": "one_layer", "kernel": 5}, "mine")
    with pytest.raises(UserError, match=r"mine\.net\.kernal: unknown key; did you mean 'kernel'\?"):
        nets.check({"name": "one_layer", "kernal": 5}, "mine")
    assert nets.count({"name": "one_layer"}, 2, 1) == 2 * 9 + 1
    assert nets.build({"name": "one_layer"}, 2, 1)(torch.zeros(1, 2, 4, 4))["logits"].shape == (1, 1, 4, 4)


def test_planning_asks_for_its_memory(folder: Path) -> None:
    spec = Plan.load({"mode": "paper", "preset": "full"}).run("ssanet/m4").spec
    mine = spec.model_copy(update={"net": {"name": "one_layer"}})
    # 0.5 MiB of weights 8.5 times; 2 slices of 512 x 512 at 8 bytes a pixel: 4 MiB
    assert training_memory(mine) == round(300 + 1.3 * (350 + 4.25 + 1.3 * 4))


def test_a_loss_is_one_file(folder: Path) -> None:
    given = {"absolute": {"power": 2.0, "weight": 3.0}}
    losses.check(given, "mine")
    with pytest.raises(UserError, match=r"mine\.losses\.absolute\.powr: unknown key; did you mean 'power'\?"):
        losses.check({"absolute": {"powr": 2}}, "mine")
    target = torch.tensor([[[0, 2]]], dtype=torch.uint8)
    total, values = losses.total(given, {"logits": torch.zeros(1, 1, 1, 2)}, target, 0)
    assert (float(values["absolute"]), float(total)) == (2.0, 6.0)


def test_a_loss_that_needs_every_label_is_refused_where_some_lack(folder: Path) -> None:
    with pytest.raises(UserError) as e:
        losses.check({"absolute": {}}, "mine", unlabelled=True)
    assert str(e.value).startswith(
        "mine.losses.absolute: cannot ignore the pixels to which train.method gives no label; legal: cross_entropy, di"
    )
    losses.check({"cross_entropy": {}, "dice": {}}, "mine", unlabelled=True)
