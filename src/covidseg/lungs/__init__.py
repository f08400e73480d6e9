"""Lung masks: from the data set's labels, a published network, a network of ours, or the classical way."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from covidseg.base.errors import UserError
from covidseg.data.canonical import U8, Store, put
from covidseg.data.full import hdf5

Predict = Callable[[U8, tuple[float, float, float]], U8]


def write_masks(canonical: Path, out: Path, source: str, predict: Predict | None) -> None:
    """Write ``out``, a ``lungs.h5`` with a mask (S, H, W) of 0/1 for every case of the store in ``canonical``.

    ``source`` labels copies the data set's own masks, none writes no mask at all; any other name needs ``predict``,
    which takes a case's image (uint8, (S, H, W)) and its spacing (dz, dy, dx) in mm and returns its mask. Raises
    UserError when a case has no lung labels, or a mask does not fit its image.
    """
    with Store(canonical) as store, hdf5(out) as masks:
        masks.file.attrs["source"] = source
        for case in store.cases() if source != "none" else []:
            image = store.image(case)
            if source == "labels":
                lung = store.lung(case)
                if lung is None:
                    raise UserError(f"{store.path}: case {case!r} has no lung labels; set lungs: to another source")
            elif predict is None:
                raise UserError(f"lungs: {source!r} needs a model; legal without one: labels, none")
            else:
                dz, dy, dx = (float(mm) for mm in store.attrs(case)["spacing"])
                lung = predict(image, (dz, dy, dx))
            if lung.shape != image.shape:
                raise UserError(f"{case}: lung mask of shape {lung.shape} for an image of shape {image.shape}")
            put(masks.file.create_group(case), "lung", (lung > 0).astype(np.uint8))
            masks.check()
