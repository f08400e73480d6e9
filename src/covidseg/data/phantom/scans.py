"""The scans of a phantom data set: patients, heights and lesion sizes, calibrated to the class shares asked for.

Shares (SSA-Net's Table 1) hold by construction: the size of the chests is scaled until the lungs have their share, and
each slice is given a number of lesion pixels whose mean is the share asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from covidseg.data.phantom import anatomy, lesions
from covidseg.data.phantom.anatomy import Chest, Patient

COARSE = 4  # the first pass measures lungs on a grid this much coarser
MOST = 0.55  # share of the lungs that lesions may fill
Crop = Callable[[npt.NDArray[np.bool_]], tuple[slice, slice]]


@dataclass
class Plan:
    """One slice to make: whose, at which height, how large its lesion (relative), and on which grid.

    ``day``, where it is not 0, is that of a follow-up: another draw of the grain and of what else is denser.
    """

    patient: tuple[int, ...]
    position: int
    height: float
    weight: float
    extent: float = 1.0
    dense: float = 0.0
    day: int = 0


@dataclass
class Scan:
    """One slice made: HU, labels 0 none, 1 ground glass, 2 consolidation, 3 effusion, and the lungs by side."""

    plan: Plan
    hu: npt.NDArray[np.float32]
    label: npt.NDArray[np.uint8]
    right: npt.NDArray[np.bool_]
    left: npt.NDArray[np.bool_]


@dataclass
class Shares:
    """The shares of pixels asked for, over the slices with lesion; the lungs' is of the slice before ``crop``."""

    lung: float
    ggo: float
    consolidation: float


@dataclass
class Maker:
    """Makes the slices of a plan at ``size`` pixels for the field of view that counts, calibrated to ``shares``.

    ``effusion`` is the chance of fluid in a chest, ``noise`` its deviation in HU. ``crop`` narrows a slice to the part
    that is released and counts; without it that is the square of ``size`` pixels in the middle.
    """

    plans: Sequence[Plan]
    size: int
    shares: Shares
    effusion: float = 0.0
    noise: float = 38.0
    crop: Crop | None = None
    scale: float = field(init=False, default=1.0)
    _pixels: list[tuple[int, int]] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        """Find the scale of the chests and the lesion pixels of every slice."""
        sick = [plan for plan in self.plans if plan.weight > 0]
        for _ in range(3):
            share = np.mean([self._lungs(plan, self.size // COARSE).mean() * plan.extent**2 for plan in sick])
            self.scale *= float(np.sqrt(self.shares.lung / share))
        masks = (self._lungs(plan, self.size) for plan in sick)
        lungs, areas = (np.array(column) for column in zip(*map(self._areas, masks), strict=True))
        weights = np.array([plan.weight for plan in sick])
        total = _spread(weights, (self.shares.ggo + self.shares.consolidation) * areas.mean(), lungs * MOST)
        if self.shares.consolidation:
            wish = np.array([plan.dense for plan in sick]) * total
            dense = _spread(wish, self.shares.consolidation * areas.mean(), total * 0.9)
        else:
            dense = total * np.array([plan.dense for plan in sick])
        counts = iter(zip(_whole(total - dense), _whole(dense), strict=True))
        self._pixels = [next(counts) if plan.weight > 0 else (0, 0) for plan in self.plans]

    def __iter__(self) -> Iterator[Scan]:
        """Yield the slices in the order of the plan, one in memory at a time."""
        for plan, pixels in zip(self.plans, self._pixels, strict=True):
            yield self._make(plan, pixels)

    def _chest(self, plan: Plan, pixels: int) -> tuple[Patient, Chest]:
        patient = Patient.draw(plan.patient, self.scale, self.effusion)
        return patient, anatomy.chest(patient, plan.height, plan.position, round(pixels * plan.extent), plan.extent)

    def _lungs(self, plan: Plan, pixels: int) -> npt.NDArray[np.bool_]:
        return self._chest(plan, pixels)[1].lung > 0.5

    def _areas(self, lung: npt.NDArray[np.bool_]) -> tuple[float, float]:
        """Return the pixels of a slice's lungs, and those over which its shares are taken."""
        if self.crop is None:
            return float(lung.sum()), float(self.size**2)
        rows, columns = self.crop(lung)
        return float(lung.sum()), float((rows.stop - rows.start) * (columns.stop - columns.start))

    def _make(self, plan: Plan, pixels: tuple[int, int]) -> Scan:
        from scipy import ndimage

        seed = (*plan.patient, plan.position)
        patient, chest = self._chest(plan, self.size)
        style = lesions.Style.draw(plan.patient)
        today = (*seed, plan.day) if plan.day else seed
        image = lesions.distract(anatomy.paint(patient, chest, plan.height, plan.position), chest, today)
        label = np.zeros(image.shape, np.uint8)
        if sum(pixels):
            found = lesions.lesion(chest, style, (patient.wide, patient.deep), plan.height, pixels, seed)
            image = lesions.paint(image, found, chest, style, seed)
            label = found.label
        label[(chest.effusion > 0.5) & (label == 0) & (chest.lung <= 0.5)] = 3
        rng = np.random.default_rng([*today, 11])
        grain = ndimage.gaussian_filter(rng.standard_normal(image.shape, dtype=np.float32), 0.6)
        return Scan(plan, image + grain * np.float32(self.noise / 0.48), label, chest.right, chest.left)


def _spread(weights: npt.NDArray, mean: float, most: npt.NDArray) -> npt.NDArray:
    """Return shares of ``weights`` with the mean asked for and none above ``most``."""
    result = weights * (mean / weights.mean())
    for _ in range(20):
        over = result > most
        if not over.any():
            break
        result = np.minimum(result, most)
        free = result[~over].sum()
        result[~over] *= (mean * len(result) - result[over].sum()) / free
    return result


def _whole(values: npt.NDArray) -> list[int]:
    """Round so that the running sums stay right."""
    return np.diff(np.rint(np.cumsum(values)).astype(int), prepend=0).tolist()
