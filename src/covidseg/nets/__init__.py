"""The networks: one file each, and this folder's listing is the registry. Nothing here imports torch before a network
is built.

A network is a class ``(in_channels, out_channels, *, options)`` whose ``forward(x_NCHW)`` returns a dict with
``logits`` (N, out_channels, H, W) and auxiliary outputs by name. Its file also holds what planning has to know of it,
``PLANNING``; a file without it, as ``layers.py``, is a helper. The figures are those of one float32 slice at width 1:

- ``weights_mib``: MiB of the weights, which grow with the square of the width;
- ``kept_bytes``: bytes per pixel of input that a forward pass keeps for the backward one, which grow with the width;
- ``forward_bytes``: bytes per pixel that live at most in a forward pass without a backward one;
- ``stride``: how many times smaller than the input the deepest map is;
- ``encoder``: the name of the published weights (``published.WEIGHTS``) that the module ``encoder`` can start from, and
  None without any. A network with an encoder has an option ``init``, and may have an option ``encoder``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypedDict, cast

from covidseg.base.errors import UserError
from covidseg.base.signature import Parameter, Registry

if TYPE_CHECKING:
    from torch import nn

NETS = Registry("covidseg.nets", "network", positional=3, declares="PLANNING")

WIDEST = 64  # times the channels that a paper prints


class Planning(TypedDict):
    """What planning knows of a network; see above."""

    weights_mib: float
    kept_bytes: float
    forward_bytes: float
    stride: int
    encoder: str | None


def names() -> tuple[str, ...]:
    """Return the names of all networks."""
    return NETS.names


def planning(name: str) -> Planning:
    """Return what planning has to know of a network. Raises UserError when there is no such network."""
    return cast(Planning, NETS.declared(name))


def options(name: str) -> dict[str, Parameter]:
    """Return the options of a network by key. Raises UserError when there is no such network."""
    return NETS.options(name)


def check(net: dict[str, Any], where: str) -> None:
    """Refuse an unknown network, option or value; ``where`` is the path to the run. Raises UserError."""
    if "name" not in net:
        raise UserError(f"{where}.net.name: missing; legal: {', '.join(NETS.names)}")
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
