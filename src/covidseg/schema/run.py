"""The specification of a run: everything that determines its result."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union

from pydantic import Field, Tag

from covidseg.schema.base import (
    InputMode,
    LungSource,
    Name,
    Pixels,
    Positive,
    Precision,
    RunId,
    Strict,
    discriminated_by,
)
from covidseg.schema.references import MODEL, Refers
from covidseg.schema.training import Pool, Training


def _maps_each_slice(own: Any, other: Any) -> str:
    """Return why a run cannot map each slice that another one sees, or an empty string."""
    if own.pool:
        return "maps no slice of train.pool; use train.method: supervised"
    if len(other.classes) > 1 or other.input.prior:
        return "has several classes or itself a prior; name a run of one class"
    return ""


class Prior(Strict):
    """A map of each slice by another run's model of the same fold and seed (Inf-Net, section III-D).

    That model learned from the same training slices, so that its maps of them are better than those of test slices.
    """

    run: Annotated[RunId, Refers("prior", MODEL, _maps_each_slice)] = Field(
        description="A run of one class, with the same data set and split."
    )
    train: Literal["predicted", "truth"] = Field(
        "predicted", description="Map of a training slice: as predicted, or the truth of that class."
    )


class Input(Strict):
    """The input of a network."""

    size: Pixels = 512
    mode: InputMode = "slice+lung"
    prior: Prior | None = Field(
        None, exclude_if=lambda prior: prior is None, description="Absent: none. Else a last channel with this map."
    )

    @property
    def channels(self) -> int:
        """Return the number of input channels."""
        return (2 if self.mode == "slice+lung" else 1) + (self.prior is not None)

    @property
    def in_words(self) -> str:
        """Return what the channels show, as ``slice+prior``."""
        return f"{self.mode}+prior" if self.prior else self.mode


def methods() -> dict[str, type[Training]]:
    """Return the settings of each training method: the files of ``train/methods`` by name.

    Each defines one class that derives from ``Training`` and whose ``method`` is the file's name.
    """
    package = importlib.import_module("covidseg.train.methods")
    names = sorted(path.stem for folder in package.__path__ for path in Path(folder).glob("[!_]*.py"))
    found = {}
    for name in names:
        module = importlib.import_module(f"{package.__name__}.{name}")
        own = (value for value in vars(module).values() if getattr(value, "__module__", "") == module.__name__)
        found[name] = next(value for value in own if isinstance(value, type) and issubclass(value, Training))
    return found


METHODS = methods()
if TYPE_CHECKING:
    Method = Training
else:
    Method = Annotated[
        Union[tuple(Annotated[settings, Tag(name)] for name, settings in METHODS.items())],  # noqa: UP007
        discriminated_by("method", "supervised"),
    ]


class RunSpec(Strict):
    """A resolved run: everything that determines its result, and nothing else."""

    dataset: Name
    split: Name
    lungs: LungSource = "none"
    classes: list[Name] = Field(min_length=1, description="Foreground classes. One: sigmoid; more: softmax.")
    input: Input = Input()
    net: dict[str, Any] = Field(description="name and options of the network; empty for the authors' maps.")
    losses: dict[str, dict[str, Any]] = Field(description="Loss -> weight, from_epoch and the loss's own options.")
    train: Method = Field(default_factory=lambda: METHODS["supervised"]())
    threads: Positive = 1
    precision: Precision = Field(
        "auto", exclude_if=lambda precision: precision == "auto", description="Absent: bfloat16 on a GPU, else float32."
    )
    values: dict[str, tuple[int, ...]] = Field({}, description="Filled in by the program: class -> label values.")

    @property
    def pool(self) -> Pool | None:
        """Return the unlabelled slices that the method uses."""
        return getattr(self.train, "pool", None)

    @property
    def stages(self) -> list[str]:
        """Return the jobs that come before the last one, in order: that of the prior, then the method's own."""
        return [*(["prior"] if self.input.prior else []), *self.train.stages]

    @property
    def maps(self) -> str | None:
        """Return the data set of others' maps that are the predictions; None where a network of ours predicts."""
        return getattr(self.train, "maps", None)
