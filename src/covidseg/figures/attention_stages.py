"""Rows of figures of attention at stages of a training: test slices, their maps after some epochs, fused, and truth."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from covidseg.base import records
from covidseg.base.files import need
from covidseg.base.labels import UNLABELLED
from covidseg.data.canonical import Store
from covidseg.data.tensors import Window, read_rows, resize
from covidseg.figures.page import TRUTH, NothingToShowError, Panel, Row

if TYPE_CHECKING:
    from covidseg.figures.kinds.attention_stages import AttentionStagesFigure
    from covidseg.plan import Plan

RULE = "of each test case the slice with the largest lesion; of these, ordered by lesion area, evenly spaced ones"
BY_IMAGE = "of the test images that show the lesion by their label, evenly spaced ones"
FUSED = {"average": "Average of all", "max": "Maximum of all", "last": "Last epoch"}


def rows(plan: Plan, figure: AttentionStagesFigure, run_id: str, fold: int, seed: int) -> list[Row]:
    """Return a figure's rows. Raises NothingToShowError when no test slice shows the lesion."""
    import h5py

    run = plan.run(run_id)
    path = need(plan.paths.job(run_id, fold, seed) / "maps.h5", f"train {run_id} --fold {fold} --seed {seed}")
    records.verified(path, "run.json")
    spec, train = run.spec, run.spec.train
    values = next(iter(plan.catalogue.class_values(spec.dataset, spec.classes).values()))
    if drawn_by_nobody := plan.dataset(spec.dataset).image_labels is not None:
        values = (UNLABELLED,)
    tested = set(plan.catalogue.split(spec.split).cases(fold, "test"))
    table = enumerate(read_rows(plan.paths.tensors(spec.dataset, spec.input.size)))
    lines = {index: line for index, line in table if line["case"] in tested}
    fused = getattr(train, "fusion", "average")
    out = []
    with records.parsing(path), h5py.File(path) as file, Store(plan.paths.canonical(spec.dataset)) as store:
        place = {int(index): k for k, index in enumerate(file["index"][()])}
        epochs = json.loads(file.attrs["epochs"])
        for index in choose(store, lines, values, figure.slices):
            line, k = lines[index], place[index]
            window = Window(line["top"], line["left"], line["height"], line["width"])
            label = store.label(line["case"])
            assert label is not None  # it has a lesion
            truth = np.isin(window.cut(label[line["position"]]), values)
            maps = {f"Epoch {epoch}": file["epochs"][k, n] for n, epoch in enumerate(epochs)}
            maps[FUSED[fused]] = file[fused][k]
            panels = {heading: Panel((), heat=resize(map_, truth.shape)) for heading, map_ in maps.items()}
            image = window.cut(store.image(line["case"])[line["position"]])
            if not drawn_by_nobody:
                panels[TRUTH] = Panel([(spec.classes[0], truth)])
            out.append(Row(line["slice"], image, panels))
    if not out:
        raise NothingToShowError(f"{run_id}, fold {fold}: no test slice shows a lesion")
    return out


def choose(store: Store, lines: dict[int, dict[str, Any]], values: tuple[int, ...], wanted: int) -> list[int]:
    """Return the rows of at most ``wanted`` slices, by ``RULE``."""
    largest: dict[str, tuple[int, int]] = {}  # case -> lesion pixels, row
    labels, case = None, ""
    for index, line in lines.items():
        if line["case"] != case:
            case, labels = line["case"], store.label(line["case"])
        area = 0 if labels is None else int(np.isin(labels[line["position"]], values).sum())
        if area > largest.get(case, (0, -1))[0]:
            largest[case] = (area, index)
    found = [index for _, index in sorted(largest.values())]
    ranks = np.linspace(0, len(found) - 1, min(wanted, len(found)))
    return [found[round(float(rank))] for rank in ranks]
