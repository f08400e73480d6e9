"""The files of a phantom follow-up series: the same patients on several days, and lesions of known courses."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np

from covidseg.data.importers import series
from covidseg.data.phantom import layouts
from covidseg.data.phantom.scans import Maker, Shares
from covidseg.schema import Phantom


def series_files(phantom: Phantom, raw: Path) -> None:
    """Write a scan and its true mask per patient and day, ``phantom.courses[patient][k]`` on ``phantom.days[k]``.

    A patient's anatomy and lesions are the same on each day, the lesions' pixels times the course; only grain and what
    else is denser differ. Shares are over all days.
    """
    scans = [
        (f"phantom-{patient + 1}_day{day:03d}", day, course, (phantom.seed, patient))
        for patient, courses in enumerate(phantom.courses)
        for day, course in zip(phantom.days, courses, strict=True)
    ]
    plans = [
        replace(plan, weight=plan.weight * course, day=1 + day)
        for _, day, course, seed in scans
        for plan in layouts.volume_plans(seed, phantom.slices, 1.0, empty=2)
    ]
    shares = Shares(phantom.lung, phantom.ggo, phantom.consolidation)
    made = iter(Maker(plans, phantom.size, shares, noise=phantom.noise))
    for name, *_ in scans:
        slices = list(islice(made, phantom.slices))
        image = layouts.stored_hu(np.stack([scan.hu for scan in slices]))
        truth = np.stack([(scan.label == 1) | (scan.label == 2) for scan in slices]).astype(np.uint8)
        for folder, array in ((series.SCANS, image), (series.MASKS, truth)):
            layouts.nifti(raw / folder / f"{name}.nii.gz", array, "LPS", phantom)
