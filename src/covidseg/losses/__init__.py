"""The losses. Each is one file; the listing of this folder is the registry. torch is imported when a loss is computed.

A loss is a function ``(outputs, target, *, options)``: outputs is what a network returns; target is uint8 (N, H, W)
with 0 for background, 1..K for the foreground classes and 255 for pixels without a label, or float32, the probability
of the one class in 0..1. It returns a float32 scalar. ``IGNORES_UNLABELLED`` in its file says whether it ignores the
pixels without a label (``targets.py``); a file without this constant, as ``targets.py``, is a helper. ``READS`` names
the outputs besides the logits that a loss cannot do without. In a run each loss also takes ``weight`` (default 1) and
``from_epoch`` (default 0: on from the first epoch).
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
    "COMMON", "LOSSES", "Losses", "active", "check", "class_weights", "names", "options", "reads", "resolved",
    "reweights", "total",
]  # fmt: skip

LOSSES = Registry("covidseg.losses", "loss", positional=2, declares="IGNORES_UNLABELLED")
COMMON = {"weight": Parameter("float", 1.0), "from_epoch": Parameter("int", 0)}


def names() -> tuple[str, ...]:
    """Return the names of all losses."""
    return LOSSES.names


def options(name: str) -> dict[str, Parameter]:
    """Return the options of a loss by key, the common ones first. Raises UserError when there is no such loss."""
    return COMMON | LOSSES.options(name)


def reads(name: str) -> tuple[str, ...]:
    """Return the outputs besides the logits that a loss needs. Raises UserError when there is no such loss."""
    return tuple(LOSSES.constant(name, "READS", ()))


def check(losses: Losses, where: str, classes: int = 1, unlabelled: bool = False) -> None:
    """Refuse unknown losses, options and values; ``where`` is the path to the run. Raises UserError.

    ``classes``: how many foreground classes the run has; ``unlabelled``: whether its training method makes targets with
    pixels that have no label, which every loss then has to ignore.
    """
    for name, given in losses.items():
        at = f"{where}.losses.{name}"
        LOSSES.check(name, given, at, at, COMMON)
        if unlabelled and not LOSSES.declared(name):
            able = ", ".join(other for other in LOSSES.names if LOSSES.declared(other))
            raise UserError(f"{at}: cannot ignore the pixels to which train.method gives no label; legal: {able}")
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


def total(losses: Losses, outputs: dict[str, Any], target: Tensor, epoch: int = 0) -> tuple[Tensor, dict[str, Tensor]]:
    """Return the weighted sum of the losses that are on in ``epoch``, and each one's value before its weight."""
    _check_shape(outputs, target)
    values = {}
    for name in active(losses, epoch):
        given = {key: value for key, value in losses[name].items() if key not in COMMON}
        values[name] = _function(name)(outputs, target, **given)
    first, *rest = (values[name] * losses[name].get("weight", 1.0) for name in values)
    return sum(rest, start=first), values


def _check_shape(outputs: dict[str, Any], target: Tensor) -> None:
    """Raise UserError for a target that is not (N, H, W): another shape would be broadcast to a wrong loss."""
    batch, _, height, width = outputs["logits"].shape
    if tuple(target.shape) != (batch, height, width):
        said = " x ".join(map(str, target.shape))
        raise UserError(f"losses: target of shape {said}, expected {batch} x {height} x {width}; take its channel off")


@functools.cache
def _function(name: str) -> Callable[..., Tensor]:
    loss: Callable[..., Tensor] = LOSSES.load(name)
    return loss
