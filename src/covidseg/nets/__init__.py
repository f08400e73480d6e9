"""The networks: one file each, named in NETS. Nothing here imports torch before a network is built.

A network is a class ``(in_channels, out_channels, *, options)`` whose ``forward(x_NCHW)`` returns a dict with
``logits`` (N, out_channels, H, W) and auxiliary outputs by name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from covidseg.base.errors import UserError
from covidseg.base.signature import Parameter, Registry

if TYPE_CHECKING:
    from torch import nn

NETS = Registry(
    "covidseg.nets",
    "network",
    ("deeplabv3plus", "dynunet", "fcn8s", "infnet", "ssanet", "unet", "unetplusplus"),
    positional=3,
)

WIDEST = 64  # times the channels that a paper prints


def options(name: str) -> dict[str, Parameter]:
    """Return the options of a network by key. Raises UserError when there is no such network."""
    return NETS.options(name)


def check(net: dict[str, Any], where: str) -> None:
    """Refuse an unknown network, option or value; ``where`` is the path to the run. Raises UserError."""
    if "name" not in net:
        raise UserError(f"{where}.net.name: missing; legal: {', '.join(sorted(NETS.names))}")
    NETS.check(net["name"], _options(net), f"{where}.net", f"{where}.net.name")
    if not 0 < net.get("width", 1) <= WIDEST:
        raise UserError(f"{where}.net.width: must be above 0 and at most {WIDEST} (found {net['width']:g})")


def build(net: dict[str, Any], in_channels: int, out_channels: int) -> nn.Module:
    """Return the network that ``net`` (``name`` and options) describes, freshly initialised."""
    module: nn.Module = NETS.load(net["name"])(in_channels, out_channels, **_options(net))
    return module


def count(net: dict[str, Any], in_channels: int, out_channels: int) -> int:
    """Return the number of trainable parameters; no memory is used for them."""
    import torch

    with torch.device("meta"):
        return sum(p.numel() for p in build(net, in_channels, out_channels).parameters() if p.requires_grad)


def _options(net: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in net.items() if key != "name"}
