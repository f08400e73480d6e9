"""Lung masks: from a data set's labels, a published network, a network trained here, or classical image processing.

Each source is a file in ``sources``.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict, cast

import numpy as np

from covidseg.base import records
from covidseg.base.errors import UserError, nearest
from covidseg.base.signature import literals
from covidseg.data import slabs
from covidseg.data.canonical import U8, Store, put
from covidseg.data.full import hdf5

Predict = Callable[[U8, tuple[float, float, float]], U8]


class Source(TypedDict):
    """The properties of a source of lung masks that planning needs, see ``lungs.sources``."""

    network: bool
    weights: str | None
    run: str | None
    in_demo: str
    any_scan: bool


@dataclass(frozen=True)
class Request:
    """The inputs that a source may need to make masks.

    ``window``: the Hounsfield units at 0 and 255 of the images, None if unknown. ``device``: auto, cpu or cuda.
    ``weights``: the folder of published weights; ``mirror``: the folder that is searched before they are downloaded.
    ``trained``: the predictor of the model of the source's run, where it has one.
    """

    window: tuple[float, float] | None = None
    device: str = "auto"
    weights: Path = Path("weights")
    mirror: Path | None = None
    trained: Predict | None = None


def names() -> list[str]:
    """Return the names of all sources."""
    return sorted(path.stem for path in _folder().glob("[!_]*.py"))


def source(name: str) -> Source:
    """Return the properties of a source. Raises UserError for an unknown name."""
    if name not in names():
        raise UserError(f"unknown source of lung masks {name!r}; {nearest(name, names())}")
    return cast(Source, literals(_folder() / f"{name}.py")["SOURCE"])


def predictor(name: str, request: Request) -> Predict | None:
    """Return the function from image and spacing to a lung mask; None for sources that do not use images."""
    source(name)
    module = importlib.import_module(f"covidseg.lungs.sources.{name}")
    return cast("Predict | None", module.predictor(request))


def _folder() -> Path:
    return Path(__file__).parent / "sources"


def write_masks(canonical: Path, out: Path, source: str, predict: Predict | None) -> None:
    """Write ``out``, a ``lungs.h5`` with a mask (S, H, W) of 0/1 for every case of the store in ``canonical``.

    Its record ``lungs.json`` is written last.

    The source labels copies the data set's own masks, none writes no mask; any other source needs ``predict``,
    which takes a case's image (uint8, (S, H, W)) and its spacing (dz, dy, dx) in mm and returns its mask. Raises
    UserError when a case has no lung labels, or a mask does not fit its image.
    """
    record = out.with_suffix(".json")
    with Store(canonical) as store, hdf5(out) as masks:
        record.unlink(missing_ok=True)
        masks.file.attrs["source"] = source
        for case in store.cases() if source != "none" else []:
            image = store.opened(case)
            lung: Any
            if source == "labels":
                lung = store.lung(case)
                if lung is None:
                    raise UserError(f"{store.path}: case {case!r} has no lung labels; set lungs: to another source")
            elif predict is None:
                raise UserError(f"lungs: {source!r} needs a model; legal without one: labels, none")
            else:
                dz, dy, dx = (float(mm) for mm in store.attrs(case)["spacing"])
                if hasattr(predict, "slabs"):
                    lung = slabs.Made(image.shape, predict.slabs(image, (dz, dy, dx)))
                else:
                    lung = predict(image[...], (dz, dy, dx))
            if lung.shape != image.shape:
                raise UserError(f"{case}: lung mask of shape {lung.shape} for an image of shape {image.shape}")
            put(masks.file.create_group(case), "lung", slabs.Mapped(lung, lambda block: (block > 0).astype(np.uint8)))
            masks.check()
    records.write(record, [out], dataset=canonical.name, source=source)
