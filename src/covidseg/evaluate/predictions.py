"""Saved predictions of a training, together with the truth."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from covidseg.base import records
from covidseg.base.errors import UserError, nearest
from covidseg.base.files import need
from covidseg.base.labels import UNLABELLED
from covidseg.evaluate.score import Slice
from covidseg.jobs import record
from covidseg.plan import Plan, Run

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


def test_slices(plan: Plan, run: Run, fold: int, seed: int) -> Iterator[Slice]:
    """Yield every test slice of a training: predicted probability and truth, per class, at the slice's own size.

    Predictions are enlarged from the network's grid to the crop's native pixels, where the truth was drawn. There, of
    several classes, each pixel belongs to the most probable one or to background (``label_map`` has the rule for
    ties); the mask of a single class is its map at the protocol's threshold. One slice's maps and one case's labels at
    a time are in memory; the slices of a case come one after the other. Where a data set has labels of images only, the
    truth is all of a slice or nothing, and not ``drawn``.
    """
    import h5py
    import numpy as np

    from covidseg.data.canonical import Store
    from covidseg.data.tensors import Window, read_rows, resize
    from covidseg.metrics.overlap import label_map

    drawn = plan.dataset(run.spec.dataset).image_labels is None
    path = _checked(plan, run, fold, seed)
    values = plan.catalogue.class_values(run.spec.dataset, run.spec.classes)
    with records.parsing(path), h5py.File(path) as file, Store(plan.paths.canonical(run.spec.dataset)) as store:
        prob, index = file["prob"], file["index"][()].tolist()
        wanted, rows = set(index), read_rows(plan.paths.tensors(run.spec.dataset, run.spec.input.size))
        table = {i: row for i, row in enumerate(rows) if i in wanted}
        sizes = file["size"][()] if "size" in file else [prob.shape[2:]] * len(prob)  # maps of others have their own
        case, labels = "", None
        for k, (row, (height, width)) in enumerate(zip((table[i] for i in index), sizes, strict=True)):
            maps = prob[k][:, :height, :width]
            if row["case"] != case:
                case, labels = row["case"], store.label(row["case"])
            if labels is None:
                raise UserError(
                    f"{case}: a test case without labels; correct {plan.catalogue.split_path(run.spec.split)}"
                )
            label = Window(row["top"], row["left"], row["height"], row["width"]).cut(labels[row["position"]])
            enlarged = [resize(map_, label.shape) for map_ in maps]
            found = label_map(np.stack(enlarged)) if len(enlarged) > 1 else None
            for cls, (name, joined) in enumerate(values.items()):
                yield Slice(
                    case=case,
                    slice=row["slice"],
                    position=row["position"],
                    cls=name,
                    prob=enlarged[cls],
                    truth=np.isin(label, joined) if drawn else label == UNLABELLED,
                    spacing=(row["dz"], row["dy"], row["dx"]),
                    mask=None if found is None else found == cls + 1,
                    drawn=drawn,
                )


def test_maps(
    plan: Plan, run: Run, fold: int, seed: int, name: str, slices: list[str]
) -> dict[str, npt.NDArray[np.uint8]]:
    """Return slice id -> a further map of it, uint8 (h, w), that the training wrote beside its predictions.

    Raises UserError where it wrote none of this name.
    """
    import h5py

    from covidseg.data.tensors import read_rows

    path = _checked(plan, run, fold, seed)
    rows = list(read_rows(plan.paths.tensors(run.spec.dataset, run.spec.input.size)))
    with records.parsing(path), h5py.File(path) as file:
        there = [key for key in file if key not in ("prob", "index", "size")]
        if name not in there:
            said = nearest(name, there) if there else "its method makes none; remove the column"
            raise UserError(f"{path}: holds no map {name!r}; {said}")
        at = {rows[i]["slice"]: k for k, i in enumerate(file["index"][()].tolist())}
        return {slice_: file[name][at[slice_]] for slice_ in slices}


def _checked(plan: Plan, run: Run, fold: int, seed: int) -> Path:
    """Return the file of a training's predictions. Raises UserError when it is missing or not what its record names."""
    path = need(plan.paths.job(run.id, fold, seed) / "predictions.h5", f"train {run.id} --fold {fold} --seed {seed}")
    return records.verified(path, record.RUN)
