"""Masks of whole scans as files on each scan's own grid, and the volumes that they enclose.

A scan is predicted by every model of the run that neither trained nor validated on it: the unlabelled ones and those of
a held-out test set by all, a labelled one of a cross-validation by its own fold's. The models' probabilities are
averaged. One scan is in memory at a time, and a run that was killed goes on with the next scan.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from covidseg.base import csvfile, records
from covidseg.base.errors import UserError
from covidseg.base.own import OwnFiles
from covidseg.data.canonical import U8, Store
from covidseg.data.importers import folder as own_folder
from covidseg.data.tensors import lung_of
from covidseg.inference.done import Done
from covidseg.inference.outputs import labelled, picture_names, write_pictures, write_volume
from covidseg.inference.scan import Member, predicted, volumes
from covidseg.jobs import record
from covidseg.plan import Plan, Run, fingerprint_of
from covidseg.upkeep.freshness import masks_made_from, usable_model


def write(plan: Plan, name: str, say: Callable[[str], None]) -> None:
    """Write a mask per scan, ``volumes.csv`` and last ``masks.json`` into the folder of the masks of this name.

    The name is a run's, for the scans of its own data set, or ``run@dataset``. NIfTI scans get ``<case>.nii.gz`` of
    their shape and affine, 8-bit slices ``<case>.png``. Masks of scans that are no longer there are removed, but no
    file that we did not write or that was changed since. Raises UserError when a training is missing or not today's
    row's, and when a file that is not ours stands where a mask has to go.
    """
    started, out = time.monotonic(), plan.paths.masks(name)
    run, dataset = plan.targets.masks_of(name)
    canonical = plan.paths.canonical(dataset)
    members = {job: member(plan, run, *job) for job in run.jobs}
    crop = plan.dataset(dataset).crop
    made_from, drawn = masks_made_from(plan, name), plan.dataset(dataset).image_labels is None
    (out / "masks.json").unlink(missing_ok=True)
    values, known = mask_values(plan, run, dataset), _known(plan, run, dataset)
    done, own = Done(out / "done.jsonl", fingerprint_of(made_from)), OwnFiles(out)
    rows, left_out = [], []
    with ExitStack() as stack:
        store = stack.enter_context(Store(canonical))
        lungs = stack.enter_context(Store(canonical / "lungs.h5")) if plan.catalogue.lungs(dataset) != "none" else None
        cases = store.cases()
        for number, case in enumerate(cases, 1):
            blind = _blind(plan, run, case) if dataset == run.spec.dataset else run.jobs
            row = done.rows.get(case) if blind else None
            if not blind:
                left_out.append(case)
                continue
            if row is None:
                lung = lung_of(lungs, case)
                image, side = store.image(case), crop.size if crop else None
                found = predicted(image, lung, side, run.spec, [members[job] for job in blind])
                for file in mask_names(case, len(found), store.attrs(case)):
                    own.claim(file)
                files = write_mask(out, case, labelled(found, list(values.values())), store.attrs(case))
                truth = _truth(known, store.label(case)) if drawn else None
                spacing = store.attrs(case)["spacing"]
                row = {
                    "case": case,
                    "role": str(store.attrs(case)["role"]),
                    "slices": len(found),
                    "models": len(blind),
                    **volumes(found, lung, truth, spacing, list(values)),
                    "files": {path.name: own.add(path.name) for path in files},
                }
                done.add(row)
            rows.append(row)
            say(f"{name}: {number} of {len(cases)} scans, {case}")
    if not rows and cases:
        raise UserError(f"{name}: its models trained on every scan; add unlabelled scans (imagesTs)")
    own.keep([file for row in rows for file in row["files"]], say)
    seconds = round(time.monotonic() - started, 2)
    _finish(out, rows, made_from=made_from, labels=values, left_out=left_out, seconds=seconds)


def _known(plan: Plan, run: Run, dataset: str) -> dict[str, tuple[int, ...]]:
    """Return class -> the label values that it joins in a data set; empty where that does not have all classes."""
    known = plan.dataset(dataset)
    there = {*known.classes, *known.unions}
    return plan.catalogue.class_values(dataset, run.spec.classes) if {*run.spec.classes} <= there else {}


def mask_values(plan: Plan, run: Run, of: str | None = None) -> dict[str, int]:
    """Return class -> value in the masks of a data set's scans, the run's own if none is named: the user's own where
    each class is one label, else 1..K.
    """
    name = of or run.spec.dataset
    dataset = plan.dataset(name)
    joined = list(_known(plan, run, name).values())
    if not joined or any(len(values) != 1 for values in joined):
        return {name: k for k, name in enumerate(run.spec.classes, 1)}
    theirs = {value: value for value in dataset.classes.values()}
    if dataset.image_labels:  # pictures: a lesion that is seen in any viewer
        theirs = dict.fromkeys(theirs, 255)
    elif dataset.folder is not None:
        mapping = own_folder.label_map(dataset.folder / "dataset.json", dataset.classes)
        theirs = {ours: value for value, ours in mapping.items() if ours}
    return {name: theirs[values[0]] for name, values in zip(run.spec.classes, joined, strict=True)}


def mask_names(case: str, slices: int, attrs: dict[str, Any]) -> list[str]:
    """Return the names of the files of ``write_mask``."""
    return [f"{case}.nii.gz"] if "affine" in attrs else picture_names(case, slices)


def write_mask(out: Path, case: str, mask: U8, attrs: dict[str, Any]) -> list[Path]:
    """Write a scan's mask (S, H, W) as NIfTI where its store knows a grid, else as PNG; return its files."""
    if "affine" not in attrs:
        return write_pictures(out, case, mask)
    write_volume(out / f"{case}.nii.gz", mask, attrs["affine"], str(attrs["axcodes"]))
    return [out / f"{case}.nii.gz"]


def member(plan: Plan, run: Run, fold: int, seed: int) -> Member:
    """Return a training's model, and with it that of its prior. Raises UserError when it is missing or stale."""
    from covidseg.train.predict import load_model

    model = load_model(usable_model(plan, run, fold, seed).parent, run.spec)
    other = run.references.get("prior")
    guide = member(plan, plan.run(other.run), fold, seed) if other else None
    return Member(model, run.spec, plan.config.device, guide)


def _blind(plan: Plan, run: Run, case: str) -> list[tuple[int, int]]:
    """Return the trainings (fold, seed) that did not see a scan's labels."""
    split = plan.catalogue.split(run.spec.split)
    seen = {k for k in run.folds if case in split.table[k]["train"] or case in split.table[k]["val"]}
    return [job for job in run.jobs if job[0] not in seen]


def _truth(known: dict[str, tuple[int, ...]], label: U8 | None) -> U8 | None:
    """Return a scan's labels as class numbers, None where it has none or its data set lacks a class."""
    if label is None or not known:
        return None
    numbers = np.zeros(256, np.uint8)
    for k, values in enumerate(known.values(), 1):
        numbers[list(values)] = k
    return numbers[label]


def _finish(out: Path, rows: list[dict[str, Any]], **facts: Any) -> None:
    """Write ``volumes.csv`` and the record."""
    columns = [key for key in (rows[0] if rows else {"case": ""}) if key != "files"]  # none: the scans were not found
    csvfile.write(out / "volumes.csv", columns, [{key: row[key] for key in columns} for row in rows])
    made = [out / "volumes.csv", *(out / name for row in rows for name in row["files"])]
    records.write(out / "masks.json", made, peak_memory_mb=record.peak_memory_mb(), **facts)
    (out / "done.jsonl").unlink(missing_ok=True)
