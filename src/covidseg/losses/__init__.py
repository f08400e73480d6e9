"""The losses: one file each, named in LOSSES. Nothing here imports torch before a loss is computed.

A loss is a function ``(outputs, target, *, options)``: outputs is what a network returns, target uint8 (N, H, W) with
0 for background and 1..K for the foreground classes, or float32, the probability of the one class in 0..1; it returns
a float32 scalar. In a run each loss also takes
``weight`` (default 1) and ``from_epoch`` (default 0: on from the first epoch).
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from covidseg.base.errors import UserError
from covidseg.base.signature import Parameter, Registry
from covidseg.losses.reweight import Losses, class_weights, resolved, reweights

if TYPE_CHECKING:
    from torch import Tensor

__all__ = [
    "COMMON", "LOSSES", "Losses", "active", "check", "class_weights", "options", "resolved", "reweights", "total",
]  # fmt: skip

LOSSES = Registry(
    "covidseg.losses", "loss", ("cross_entropy", "dice", "edge", "self_attention", "structure"), positional=2
)
COMMON = {"weight": Parameter("float", 1.0), "from_epoch": Parameter("int", 0)}


def options(name: str) -> dict[str, Parameter]:
    """Return the options of a loss by key, the common ones first. Raises UserError when there is no such loss."""
    return COMMON | LOSSES.options(name)


def check(losses: Losses, where: str, classes: int = 1) -> None:
    """Refuse unknown losses, options and values; ``where`` is the path to the run. Raises UserError.

    ``classes``: how many foreground classes the run has.
    """
    for name, given in losses.items():
        at = f"{where}.losses.{name}"
        LOSSES.check(name, given, at, at, COMMON)
        if given.get("from_epoch", 0) < 0:
            raise UserError(f"{at}.from_epoch: must be 0 or more (found {given['from_epoch']})")
        if given.get("reweight") and classes == 1:
            raise UserError(f"{at}.reweight: a run of one class has nothing to weigh; name two classes or more")
        if given.get("reweight") and given.get("class_weights"):
            raise UserError(f"{at}: reweight and class_weights exclude each other; remove one")
    if not active(losses, 0):
        raise UserError(f"{where}.losses: none is on in the first epoch; set from_epoch: 0 for at least one")


def active(losses: Losses, epoch: int) -> list[str]:
    """Return the losses that are on in ``epoch`` (0 is the first)."""
    return [name for name, given in losses.items() if epoch >= given.get("from_epoch", 0)]


def total(losses: Losses, outputs: dict[str, Any], target: Tensor, epoch: int) -> tuple[Tensor, dict[str, Tensor]]:
    """Return the weighted sum of the losses that are on in ``epoch``, and each one's value before its weight."""
    values = {}
    for name in active(losses, epoch):
        given = {key: value for key, value in losses[name].items() if key not in COMMON}
        values[name] = _function(name)(outputs, target, **given)
    first, *rest = (values[name] * losses[name].get("weight", 1.0) for name in values)
    return sum(rest, start=first), values


@functools.cache
def _function(name: str) -> Callable[..., Tensor]:
    loss: Callable[..., Tensor] = LOSSES.load(name)
    return loss
