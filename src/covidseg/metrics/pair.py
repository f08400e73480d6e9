"""A true and a predicted mask, from which measures are computed."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from covidseg.metrics import surface
from covidseg.metrics.overlap import Counts, count

Mask = NDArray[np.bool_]
T = TypeVar("T")
Measure = TypeVar("Measure", bound=Callable[..., float])
Totals = Mapping[Callable[..., Any], Any]

NOTHING: Mask = np.zeros((0, 0), bool)


def by_image(measure: Measure) -> Measure:
    """Mark a measure that needs no drawn truth: it asks only whether a slice shows the lesion at all."""
    measure.by_image = True  # type: ignore[attr-defined]
    return measure


@dataclass
class Pair:
    """Two masks of one shape: of a slice (2-D), or of a case (3-D) whose slices are ``parts``.

    ``spacing`` is per axis, in mm where ``in_mm``, and ``tolerance`` in its unit; ``mae`` is of the probability map.
    ``parts``: what was counted on each slice, by the function that counted; a case adds that up, so that slices which
    were not predicted do not count. ``masks`` may be None where only what slices count is asked for. Boundaries are
    found once, when the first measure asks for them.
    """

    masks: tuple[Mask, Mask] | None
    spacing: tuple[float, ...]
    tolerance: float
    mae: float
    parts: Sequence[Totals] | None = None
    in_mm: bool = False
    counted: dict[Callable[..., Any], Any] = field(default_factory=dict)
    _made: dict[Callable[..., Any], Any] = field(default_factory=dict)

    @property
    def truth(self) -> Mask:
        """The true mask. Raises LookupError where only totals are known."""
        return self._masks()[0]

    @property
    def mask(self) -> Mask:
        """The predicted mask. Raises LookupError where only totals are known."""
        return self._masks()[1]

    @property
    def counts(self) -> Counts:
        """Pixels by prediction and truth."""
        return self.total(count)

    def total(self, counting: Callable[[Mask, Mask], T]) -> T:
        """Return ``counting(truth, mask)`` of a slice; of a case the sum of its slices'. Results have to add up."""
        if counting not in self.counted:
            if self.parts is None:
                self.counted[counting] = counting(self.truth, self.mask)
            else:
                first = counting(NOTHING, NOTHING)
                self.counted[counting] = functools.reduce(operator.add, (p[counting] for p in self.parts), first)
        return self.counted[counting]  # type: ignore[no-any-return]

    def cached(self, making: Callable[[Pair], T]) -> T:
        """Return ``making(self)``, computed once for all measures that ask for it."""
        if making not in self._made:
            self._made[making] = making(self)
        return self._made[making]  # type: ignore[no-any-return]

    @cached_property
    def contour(self) -> surface.Distances:
        """Distances between the contours."""
        return surface.contour_distances(self.truth, self.mask, self.spacing)

    @cached_property
    def border(self) -> surface.Distances:
        """Distances between the border pixels."""
        return surface.border_distances(self.truth, self.mask, self.spacing)

    @property
    def worst(self) -> float:
        """The distance that a missed or invented lesion costs: the diagonal of the image."""
        return surface.diagonal(self.truth.shape, self.spacing)

    def _masks(self) -> tuple[Mask, Mask]:
        if self.masks is None:
            raise LookupError("only totals over slices are known here, not the masks")
        return self.masks
