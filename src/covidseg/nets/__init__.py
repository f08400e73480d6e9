"""The networks. Each is one file; the listing of this folder is the registry. torch is imported when one is built.

A network is a class ``(in_channels, out_channels, *, options)`` whose ``forward(x_NCHW)`` returns a dict with
``logits`` (N, out_channels, H, W) and auxiliary outputs by name. Its file also holds the literal ``PLANNING``, which
planning reads; a file without it, such as ``layers.py``, is a helper. The figures are for one float32 slice at width 1:

- ``weights_mib``: MiB of the weights, which grow with the square of the width;
- ``kept_bytes``: bytes per input pixel that a forward pass keeps for the backward pass, which grow with the width;
- ``forward_bytes``: largest number of bytes per input pixel during a forward pass without gradients;
- ``stride``: factor by which the deepest feature map is smaller than the input;
- ``encoder``: the name of the published weights (``published.WEIGHTS``) that the module ``encoder`` can be initialised
  with, or None. A network with an encoder has an option ``init``, and may have an option ``encoder``;
- ``outputs``, where there are any: outputs besides the logits that losses read -> the options that they need, or None.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NotRequired, TypedDict, cast

from covidseg.base.errors import UserError
from covidseg.base.signature import Parameter, Registry

if TYPE_CHECKING:
    from torch import nn

NETS = Registry("covidseg.nets", "network", positional=3, declares="PLANNING")

WIDEST = 64  # times the channels that a paper prints


class Planning(TypedDict):
    """The figures of a network that planning needs; see above."""

    weights_mib: float
    kept_bytes: float
    forward_bytes: float
    stride: int
    encoder: str | None
    outputs: NotRequired[dict[str, dict[str, Any] | None]]


def names() -> tuple[str, ...]:
    """Return the names of all networks."""
    return NETS.names


def planning(name: str) -> Planning:
    """Return the figures of a network that planning needs. Raises UserError for an unknown network."""
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


def outputs(net: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the outputs of ``net`` that losses read -> the options that they need and that ``net`` has otherwise."""
    given = {key: option.default for key, option in options(net["name"]).items()} | _options(net)
    return {
        name: {key: value for key, value in (needed or {}).items() if given[key] != value}
        for name, needed in planning(net["name"]).get("outputs", {}).items()
    }


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
