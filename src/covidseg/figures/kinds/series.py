"""Figures of follow-up scans: per patient a row of axial slices and a row of coronal sections, one column a scan."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from covidseg.schema.base import Positive
from covidseg.schema.exhibit import Figure
from covidseg.schema.series import OfSeries

if TYPE_CHECKING:
    from covidseg.plan import Plan

RED = (0.85, 0.05, 0.10)
PANEL = 1.75  # inches


class SeriesFigure(OfSeries, Figure):
    """Scans of each patient over time with the predicted lesions, the day, and the lesion volume in ml."""

    kind: Literal["series"]
    patients: Positive = Field(2, description="So many of the data set's patients, in order of their names.")

    def words(self, plan: Plan, paper: str, name: str) -> list[str]:
        """Return what is shown, on which data, mode, preset, and what differs from the paper."""
        from covidseg.plan.names import qualified
        from covidseg.tables.caption import differences

        return [
            "Above the axial slice, below the coronal section in which a patient's scans show most lesion, with "
            "the day and the lung opacification volume (LOV)",
            f"Scans: {plan.catalogue.stands_for(self.dataset)}",
            f"Mode {plan.config.mode}, preset {plan.preset_name}",
            *differences(plan, [plan.run(qualified(paper, self.run))]),
        ]

    def draw(self, plan: Plan, paper: str) -> Any:
        """Return the drawing. Raises NothingToShowError where no scan of the series was found."""
        import numpy as np

        from covidseg.data.canonical import Store
        from covidseg.data.importers.read import nifti
        from covidseg.evaluate.series import series
        from covidseg.figures.page import NothingToShowError, note

        name = self.masks(plan.targets, paper)
        found = dict(list(series(plan, name).items())[: self.patients])
        if not found:
            raise NothingToShowError(f"no scan of {self.dataset} was found")
        panels = []
        with Store(plan.paths.canonical(plan.targets.masks_of(name)[1])) as store:
            for patient, scans in found.items():
                images = [store.image(scan.case) for scan in scans]
                masks = [nifti(plan.paths.masks(name) / f"{scan.case}.nii.gz").array > 0 for scan in scans]
                heights = [_profile(mask, (1, 2)) for mask in masks]
                depths = [_profile(mask, (0, 2)) for mask in masks]
                height, depth = (int(np.argmax(sum(p))) / (SAMPLES - 1) for p in (heights, depths))
                spacings = [tuple(float(mm) for mm in store.attrs(scan.case)["spacing"]) for scan in scans]
                panels.append((patient, scans, images, masks, height, depth, spacings))
        return _draw(panels, note(plan))


SAMPLES = 101
BEHIND = {"boxstyle": "square,pad=0.15", "facecolor": "black", "edgecolor": "none", "alpha": 0.7}
LABEL: dict[str, Any] = {"ha": "right", "va": "bottom", "color": "white", "bbox": BEHIND}


def _profile(mask: Any, axes: tuple[int, int]) -> Any:
    """Return how much of a mask (S, H, W) lies at SAMPLES places along the axis that is left, scans of any length."""
    import numpy as np

    line = mask.sum(axis=axes).astype(float) / max(1, mask.size)
    return np.interp(np.linspace(0, 1, SAMPLES), np.linspace(0, 1, len(line)), line)


def _draw(panels: list[Any], note: str) -> Any:
    from covidseg.figures.page import TEXT, TITLE, in_our_look, outline

    @in_our_look
    def drawn() -> Any:
        from matplotlib.figure import Figure as Drawing
        from matplotlib.patches import PathPatch

        across = max(len(scans) for _, scans, *_ in panels)
        drawing = Drawing(figsize=(PANEL * across + 0.3, 2 * PANEL * len(panels) + 0.35), layout="constrained")
        axes = drawing.subplots(2 * len(panels), across, squeeze=False)
        for axis in axes.ravel():
            axis.set_axis_off()
        for row, (patient, scans, images, masks, height, depth, spacings) in enumerate(panels):
            for column, scan in enumerate(scans):
                image, mask = images[column], masks[column]
                dz, dy, dx = spacings[column]
                known = dz == dz and dx == dx  # NaN: unknown
                k, j = round(height * (len(image) - 1)), round(depth * (image.shape[1] - 1))
                views = (
                    (image[k], mask[k], dy / dx if known else 1.0, f"day {scan.day}"),
                    (image[::-1, j], mask[::-1, j], dz / dx if known else 1.0, _volume(scan.volume)),
                )
                for below, (picture, lesion, aspect, words) in enumerate(views):
                    axis = axes[2 * row + below, column]
                    axis.imshow(picture, cmap="gray", vmin=0, vmax=255, aspect=aspect)
                    if (area := outline(lesion)) is not None:
                        axis.add_patch(PathPatch(area, facecolor=(*RED, 0.45), edgecolor=RED, linewidth=0.5))
                    axis.text(0.98, 0.03, words, transform=axis.transAxes, **LABEL, fontsize=TEXT)
            axes[2 * row, 0].set_title(patient, fontsize=TITLE, loc="left")
        if note:
            drawing.supxlabel(note, fontsize=TEXT, style="italic")
        return drawing

    return drawn()


def _volume(ml: float | None) -> str:
    return "LOV unknown" if ml is None else f"LOV {ml:.0f} ml"
