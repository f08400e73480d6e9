"""Masks of whole scans as files on each scan's own grid, and the volumes they enclose.

A scan is predicted by every model of the run that neither trained nor validated on it: the unlabelled ones and those of
a held-out test set by all, a labelled one of a cross-validation by its own fold's. The models' probabilities are
averaged. One scan is in memory at a time, and a run that was killed goes on with the next scan.
"""

from __future__ import annotations

import functools
import gzip
import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from covidseg.base.errors import UserError
from covidseg.base.files import replacing, sha256, write_json
from covidseg.data.canonical import U8, Store, write_table
from covidseg.data.importers import folder as own_folder
from covidseg.data.orientation import from_store
from covidseg.data.tensors import Window, crop_window, fit, lung_of, resize
from covidseg.jobs import record
from covidseg.metrics.overlap import label_map
from covidseg.plan import Plan, Run, fingerprint_of
from covidseg.upkeep.freshness import masks_made_from, usable_model

BLOCK = 32  # slices predicted at once: probability maps of a thin-slice volume would fill the memory
Cut = Callable[[int], tuple[U8, U8]]  # a network's size to images and lung masks (n, size, size)
Predictor = Callable[[Cut], U8]  # to 8-bit probabilities (n, K, size, size)


def write(plan: Plan, run: Run, say: Callable[[str], None]) -> None:
    """Write a mask per scan, ``volumes.csv`` and last ``masks.json`` into the run's folder of masks.

    NIfTI scans get ``<case>.nii.gz`` of their shape and affine, 8-bit slices ``<case>.png``. Raises UserError when a
    training is missing or not today's row's.
    """
    started, out = time.time(), plan.paths.masks(run.id)
    canonical = plan.paths.canonical(run.spec.dataset)
    predictors = dict(zip(run.jobs, (_predictor(plan, run, *job) for job in run.jobs), strict=True))
    made_from = masks_made_from(plan, run)
    (out / "masks.json").unlink(missing_ok=True)
    values = mask_values(plan, run)
    done = _Done(out / "done.jsonl", fingerprint_of(made_from))
    rows, left_out = [], []
    with ExitStack() as stack:
        store = stack.enter_context(Store(canonical))
        lungs = stack.enter_context(Store(canonical / "lungs.h5")) if run.spec.lungs != "none" else None
        cases = store.cases()
        for number, case in enumerate(cases, 1):
            blind = _blind(plan, run, case)
            row = done.rows.get(case) if blind else None
            if not blind:
                left_out.append(case)
                continue
            if row is None:
                lung = lung_of(lungs, case)
                found = predicted(store.image(case), lung, plan, run, [predictors[job] for job in blind])
                files = _write_mask(out, case, found, list(values.values()), store.attrs(case))
                row = {
                    "case": case,
                    "role": str(store.attrs(case)["role"]),
                    "slices": len(found),
                    "models": len(blind),
                    **volumes(found, lung, _truth(run, store.label(case)), store.attrs(case)["spacing"], list(values)),
                    "files": {path.name: sha256(path) for path in files},
                }
                done.add(row)
            rows.append(row)
            say(f"{run.id}: {number} of {len(cases)} scans, {case}")
    if not rows:
        raise UserError(f"{run.id}: its models trained on every scan; add unlabelled scans (imagesTs)")
    _finish(out, rows, made_from=made_from, labels=values, left_out=left_out, seconds=round(time.time() - started, 2))


def predicted(image: U8, lung: U8 | None, plan: Plan, run: Run, predictors: Sequence[Predictor]) -> U8:
    """Return the class numbers of a whole scan, (S, H, W): 0 background, 1..K; the models' mean probability decides.

    Slices are cropped and resized as for the tensors, and the maps enlarged back as for the scores.
    """
    crop, size = plan.dataset(run.spec.dataset).crop, run.spec.input.size
    window = crop_window(image.shape, lung, crop.size if crop else None)
    out = np.zeros(image.shape, np.uint8)
    for start in range(0, len(image), BLOCK):
        block = range(start, min(start + BLOCK, len(image)))
        cut = _cut(image, lung, window, block)
        total = np.zeros((len(block), len(run.spec.classes), size, size), np.uint32)
        for predict in predictors:
            total += predict(cut)
        mean = ((total + len(predictors) // 2) // len(predictors)).astype(np.uint8)
        for k, maps_KHW in zip(block, mean, strict=True):
            out[k] = native(maps_KHW, window, image.shape[1:])
    return out


def _cut(image: U8, lung: U8 | None, window: Window, block: range) -> Cut:
    @functools.cache  # all predictors ask for the same
    def cut(size: int) -> tuple[U8, U8]:
        pairs = ((image, "image"), (lung, "lung"))
        x, mask = (np.stack([fit(array, k, window, size, key) for k in block]) for array, key in pairs)
        return x, mask

    return cut


def native(maps_KHW: U8, window: Window, shape: tuple[int, ...]) -> U8:
    """Return the class numbers (H, W) of a slice from its probability maps at the network's size."""
    grown = np.stack([resize(maps, (window.height, window.width)) for maps in maps_KHW])
    return window.paste(label_map(grown), (shape[0], shape[1]))


def volumes(found: U8, lung: U8 | None, truth: U8 | None, spacing: Any, classes: Sequence[str]) -> dict[str, Any]:
    """Return a scan's volumes in ml and the share of its lungs that is lesion in percent; None with the reason.

    ``found`` and ``truth`` hold class numbers, ``lung`` 0/1, all (S, H, W); ``spacing`` is (dz, dy, dx) in mm. Lesion
    is every class but lung; the share counts only what lies inside the lungs.
    """
    voxel = float(np.prod(np.asarray(spacing, float))) / 1000
    lesions = [k for k, name in enumerate(classes, 1) if name != "lung"]
    known = bool(np.isfinite(voxel))

    def ml(voxels: npt.NDArray[np.bool_] | None) -> float | None:
        return round(np.count_nonzero(voxels) * voxel, 4) if known and voxels is not None else None

    is_lesion = np.zeros(256, bool)
    is_lesion[lesions] = True
    lesion, inside = is_lesion[found], None if lung is None else lung > 0
    share = None
    if known and inside is not None and inside.any():
        share = round(100 * np.count_nonzero(lesion & inside) / np.count_nonzero(inside), 3)
    reasons = {
        "spacing unknown": not known,
        "no lung masks": lung is None,
        "no lung found": inside is not None and not inside.any(),
    }
    return {
        **{f"ml_{name}": ml(found == k) for k, name in enumerate(classes, 1)},
        "lesion_ml": ml(lesion),
        "true_lesion_ml": None if truth is None else ml(is_lesion[truth]),
        "lung_ml": ml(inside),
        "lesion_in_lung_percent": share,
        "empty_because": "; ".join(reason for reason, holds in reasons.items() if holds),
    }


def mask_values(plan: Plan, run: Run) -> dict[str, int]:
    """Return class -> value in the masks: the user's own where each class is one label, else 1..K."""
    dataset = plan.dataset(run.spec.dataset)
    joined = list(run.spec.values.values())
    if any(len(values) != 1 for values in joined):
        return {name: k for k, name in enumerate(run.spec.classes, 1)}
    theirs = {value: value for value in dataset.classes.values()}
    if dataset.folder is not None:
        mapping = own_folder.label_map(dataset.folder / "dataset.json", dataset.classes)
        theirs = {ours: value for value, ours in mapping.items() if ours}
    return {name: theirs[values[0]] for name, values in zip(run.spec.classes, joined, strict=True)}


def write_volume(path: Path, mask: U8, affine: npt.NDArray[np.float64], axcodes: str) -> None:
    """Write an (S, H, W) mask as NIfTI on the grid with this affine and axis codes; equal masks give equal bytes."""
    import nibabel as nib

    image = nib.nifti1.Nifti1Image(np.ascontiguousarray(from_store(mask, axcodes)), affine)
    image.header.set_xyzt_units("mm")
    with replacing(path) as temporary:
        temporary.write_bytes(gzip.compress(image.to_bytes(), compresslevel=4, mtime=0))


def _write_mask(out: Path, case: str, found: U8, values: Sequence[int], attrs: dict[str, Any]) -> list[Path]:
    """Write a scan's mask with the given value for each class; return its files."""
    mask = np.array([0, *values], np.uint8)[found]
    if "affine" in attrs:
        write_volume(out / f"{case}.nii.gz", mask, attrs["affine"], str(attrs["axcodes"]))
        return [out / f"{case}.nii.gz"]
    from PIL import Image

    names = [case] if len(mask) == 1 else [f"{case}-{k:03d}" for k in range(len(mask))]
    paths = [out / f"{name}.png" for name in names]
    for path, piece in zip(paths, mask, strict=True):
        with replacing(path) as temporary:
            Image.fromarray(piece).save(temporary)
    return paths


def _predictor(plan: Plan, run: Run, fold: int, seed: int) -> Predictor:
    """Return what predicts slices by a training's model, and before it by that of its prior."""
    from covidseg.train.predict import load_model, predict

    model = load_model(usable_model(plan, run, fold, seed).parent, run.spec)
    other, size = plan.prior(run.id, run.spec), run.spec.input.size
    guide = _predictor(plan, plan.run(other), fold, seed) if other else None

    def found(cut: Cut) -> U8:
        prior = None if guide is None else [resize(map_, (size, size)) for map_ in guide(cut)[:, 0]]
        return predict(model, *cut(size), run.spec, plan.config.device, prior)

    return found


def _blind(plan: Plan, run: Run, case: str) -> list[tuple[int, int]]:
    """Return the trainings (fold, seed) that did not see a scan's labels."""
    split = plan.split(run.spec.split)
    seen = {k for k in run.folds if case in split.table[k]["train"] or case in split.table[k]["val"]}
    return [job for job in run.jobs if job[0] not in seen]


def _truth(run: Run, label: U8 | None) -> U8 | None:
    """Return a scan's labels as class numbers, None where it has none."""
    if label is None:
        return None
    numbers = np.zeros(256, np.uint8)
    for k, values in enumerate(run.spec.values.values(), 1):
        numbers[list(values)] = k
    return numbers[label]


def _finish(out: Path, rows: list[dict[str, Any]], **facts: Any) -> None:
    """Write ``volumes.csv`` and the record; remove masks of scans that are no longer there."""
    files = {name: value for row in rows for name, value in row["files"].items()}
    for path in _masks_in(out):
        if path.name not in files:
            path.unlink()
    columns = [key for key in rows[0] if key != "files"]
    write_table(out / "volumes.csv", columns, [{key: row[key] for key in columns} for row in rows])
    facts |= {"sha256": sha256(out / "volumes.csv"), "peak_memory_mb": record.peak_memory_mb()}
    write_json(out / "masks.json", {"files": files, **facts})
    (out / "done.jsonl").unlink(missing_ok=True)


def _masks_in(out: Path) -> Iterator[Path]:
    yield from out.glob("*.nii.gz")
    yield from out.glob("*.png")


class _Done:
    """The scans that a killed run of the same models and data has finished, a JSON line each."""

    def __init__(self, path: Path, identity: str) -> None:
        self.path = path
        self.rows: dict[str, dict[str, Any]] = {}
        lines = path.read_text("utf-8").splitlines() if path.is_file() else []
        if lines[:1] != [identity]:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{identity}\n", "utf-8")
        for line in lines[1:] if lines[:1] == [identity] else []:
            try:
                row = json.loads(line)
                if all(sha256(path.parent / name) == value for name, value in row["files"].items()):
                    self.rows[row["case"]] = row
            except (ValueError, KeyError, TypeError, OSError):  # cut off by the kill, or the mask is gone
                continue

    def add(self, row: dict[str, Any]) -> None:
        """Note a finished scan."""
        with open(self.path, "a", encoding="utf-8") as f:
            f.write(json.dumps(row) + "\n")
