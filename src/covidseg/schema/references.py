"""References: settings that name another run, of which a file of the same fold and seed is read.

Such a setting is marked where it is defined: ``run: Annotated[RunId, Refers("labels", "labels.h5", fits)]``. The order
of jobs, the hashes in ``run.json``, the checks of a plan and what a training is given all follow from the mark.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

MODEL = "model.safetensors"


def any_run(own: Any, other: Any) -> str:
    """Accept any referenced run."""
    return ""


def of_same_slices(own: Any, other: Any) -> str:
    """Accept a run whose maps or labels have the same classes and size."""
    if (other.classes, other.input.size) != (own.classes, own.input.size):
        return "has other classes or another input.size; make them equal"
    return ""


@dataclass(frozen=True)
class Refers:
    """Marks a setting as the id of another run, in a role that no other setting of a run has.

    ``file``: what is read of that run; a method lists in ``WRITES`` what it leaves for others. ``fits(own, other)``, of
    two resolved specs, returns what is wrong with the other run as the end of a sentence, or an empty string. Data set
    and split are equal where it is asked.
    """

    role: str
    file: str = MODEL
    fits: Callable[[Any, Any], str] = any_run


@dataclass(frozen=True)
class Reference:
    """One reference of a run: the setting's path, as ``train.start``, and the run that it names."""

    role: str
    path: str
    run: str
    file: str
    fits: Callable[[Any, Any], str]


def references(model: BaseModel, path: str = "") -> Iterator[Reference]:
    """Yield the references in a model's settings and in the settings below them."""
    for name, field in type(model).model_fields.items():
        value, at = getattr(model, name), f"{path}.{name}" if path else name
        if isinstance(value, BaseModel):
            yield from references(value, at)
        elif value is not None:
            marks = (mark for mark in field.metadata if isinstance(mark, Refers))
            yield from (Reference(mark.role, at, value, mark.file, mark.fits) for mark in marks)
