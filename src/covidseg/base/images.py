"""Folders of masks and probability maps: PNG, JPEG and NIfTI files as slices."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from covidseg.base.errors import UserError, some
from covidseg.base.geometry import Grid, apart, grid_of
from covidseg.base.nifti import load
from covidseg.base.pictures import read_picture

Array = np.ndarray[Any, Any]

IMAGES = (".png", ".jpg", ".jpeg")
VOLUMES = (".nii.gz", ".nii")
ONE = 1 + 1e-6  # a softmax in single precision can exceed 1
LABELS = 16  # a mask or map whose largest value lies between 2 and this holds labels


@dataclass(frozen=True)
class Map:
    """One file: ``values`` (S, H, W) as stored, ``spacing`` (dz, dy, dx) in mm (NaN unknown), ``axes`` such as LPS."""

    values: Array
    spacing: tuple[float, float, float]
    axes: str = ""
    grid: Grid | None = None


def list_maps(folder: Path) -> dict[str, Path]:
    """Return the files of a folder by name without extension, in order. Raises UserError when there is none."""
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder")
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir(), key=lambda p: p.name):
        if not (suffix := _suffix(path)):
            continue
        name = path.name[: -len(suffix)]
        if name in found:
            raise UserError(f"{path}: {found[name].name} has the same name; keep one of the two")
        found[name] = path
    if not found:
        raise UserError(f"{folder}: no {', '.join((*IMAGES, *VOLUMES))} file in it")
    return dict(sorted(found.items()))


def list_others(folder: Path) -> list[str]:
    """Return the names in a folder that ``list_maps`` passes over, in order."""
    return sorted(path.name for path in folder.iterdir() if not _suffix(path))


def _suffix(path: Path) -> str:
    """Return the suffix of a mask or map; an empty one for anything else."""
    suffix = next((s for s in (*IMAGES, *VOLUMES) if path.name.lower().endswith(s)), "")
    return suffix if path.is_file() and not path.name.startswith(".") else ""


def read_map(path: Path) -> Map:
    """Read one file. Raises UserError when it is corrupt, 4-D or RGB, or holds a voxel that is not finite."""
    found = _read_nifti(path) if path.name.lower().endswith(VOLUMES) else _read_image(path)
    if found.values.size == 0:
        raise UserError(f"{path}: it has no voxels (shape {_size(found.values.shape)})")
    if found.values.dtype.kind == "f" and not np.isfinite(found.values).all():
        raise UserError(f"{path}: NaN or infinite voxels; replace them by 0 or a probability")
    return found


def _read_image(path: Path) -> Map:
    try:
        return Map(read_picture(path)[None], (np.nan, np.nan, np.nan))
    except (OSError, ValueError) as e:
        raise UserError(f"{path}: {_line(e)}; write it again") from e


def _read_nifti(path: Path) -> Map:
    import nibabel as nib

    try:
        image, voxels = load(path)
        grid = grid_of(image)
        codes = nib.orientations.aff2axcodes(grid.affine) if grid.oriented else ()
        if None in codes:
            raise ValueError("the header gives no orientation")
    except MemoryError as e:
        raise UserError(f"{path}: not enough memory to read it; free some") from e
    except Exception as e:  # nibabel, gzip and zlib raise a dozen kinds
        raise UserError(f"{path}: corrupt NIfTI ({_line(e)}); write it again") from e
    while voxels.ndim > 3 and voxels.shape[-1] == 1:
        voxels = voxels[..., 0]
    if voxels.ndim == 2:
        voxels = voxels[..., None]
    if voxels.ndim != 3 or voxels.dtype.kind not in "biuf":
        raise UserError(
            f"{path}: shape {_size(voxels.shape)}, type {voxels.dtype}; expected one 3-D volume of plain numbers"
        )
    if voxels.dtype == np.bool_:
        voxels = voxels.astype(np.uint8)
    # The slice axis is the one along the body, wherever the file keeps it.
    axes = "".join(codes)
    along = next((k for k, code in enumerate(axes) if code in "SI"), 2)
    order = (along, *(k for k in (1, 0) if k != along), *((2,) if along != 2 else ()))
    dz, dy, dx = (grid.zooms[k] for k in order)
    return Map(np.transpose(voxels, order), (dz, dy, dx), axes, grid)


def scale_of(paths: dict[str, Path]) -> int:
    """Return what stands for certainty in the maps of a folder: 1 (masks, probabilities), 255 or 65535.

    Over the folder and not the file: a map that is nearly zero everywhere is no 0/1 mask. Raises UserError for volumes
    of several labels.
    """
    top = 0.0
    for path in paths.values():
        values = read_map(path).values
        top = max(top, float(values.max()))
        if top > 255 or (top > LABELS and values.dtype == np.uint8):
            break  # no file can change the answer
    if ONE < top <= LABELS and all(_is_nifti(path) for path in paths.values()):
        raise UserError(f"{path.parent}: values up to {top:g} are labels; save one class a folder, as 0/1 masks")
    return 1 if top <= ONE else 255 if top <= 255 else 65535


def read_pairs(truth: Path, pred: Path) -> Iterator[tuple[str, Path, Map, Map]]:
    """Yield name, the prediction's file, the truth (bool) and the prediction (8-bit map or float 0..1) of two folders.

    Truth: 0/1 masks, or grey ones where more than 128 of 255 is lesion. Raises UserError on anything else.
    """
    truths, preds = list_maps(truth), list_maps(pred)
    if missing := [repr(name) for name in truths if name not in preds]:
        raise UserError(f"{pred}: no prediction for {some(missing, 5)} of {truth}; add it or take the truth out")
    if extra := [repr(name) for name in preds if name not in truths]:
        raise UserError(f"{truth}: no truth for {some(extra, 5)} of {pred}; add it or take the prediction out")
    truth_scale, pred_scale = scale_of(truths), scale_of(preds)
    for name, path in truths.items():
        t, p = read_map(path), read_map(preds[name])
        if t.axes and p.axes and t.axes != p.axes:
            raise UserError(f"{preds[name]}: axes {p.axes}, but {path} has {t.axes}; bring both on one grid")
        same = t.grid and p.grid and t.values.shape == p.values.shape
        if same and t.grid and p.grid and (problem := apart(t.grid, p.grid)):
            raise UserError(f"{preds[name]}: not on the grid of {path}, {problem}; resample the prediction onto it")
        lesion, prob = _lesion(path, t.values, truth_scale), probability(preds[name], p.values, pred_scale)
        yield name, preds[name], Map(lesion, t.spacing), Map(prob, p.spacing)


def _lesion(path: Path, values: Array, scale: int) -> Array:
    low, top = float(values.min()), float(values.max())
    # Compression leaves some grey in an empty JPEG; in any other file few and low values are labels.
    labels = scale > 1 and 0 < top <= LABELS and not path.name.lower().endswith((".jpg", ".jpeg"))
    if low < 0 or top > scale * ONE or labels:
        raise UserError(f"{path}: values {low:g} to {top:g}; expected one class a folder, as 0/1 or 0/255 masks")
    return np.asarray(values >= 0.5 if scale == 1 else values > 128 * (scale // 255))


def probability(path: Path, values: Array, scale: int) -> Array:
    """Return a map's values as 8-bit, 255 for certainty, or as float 0..1; ``scale`` is its folder's (``scale_of``).

    Raises UserError for values that are no probabilities.
    """
    low, top = float(values.min()), float(values.max())
    whole = values.dtype.kind in "iu"
    fractions = not whole and scale > 1 and not (values == np.round(values)).all()
    if low < 0 or top > scale * ONE or fractions or (scale > 255 and _is_nifti(path)):
        raise UserError(f"{path}: values {low:g} to {top:g}; expected 0/1 masks, 0..255 maps or probabilities 0..1")
    if whole and scale <= 255:
        return (values * (255 // scale)).astype(np.uint8)
    return values / scale


def _is_nifti(path: Path) -> bool:
    return path.name.lower().endswith(VOLUMES)


def resized(values: Array, shape: tuple[int, ...]) -> Array:
    """Return a map (H, W) at another size, bicubic with antialiasing as MATLAB's imresize (to one grey level)."""
    from PIL import Image

    size = (shape[1], shape[0])
    if values.dtype == np.uint8:
        return np.asarray(Image.fromarray(values).resize(size, Image.Resampling.BICUBIC))
    return np.asarray(Image.fromarray(values.astype(np.float32)).resize(size, Image.Resampling.BICUBIC))


def _size(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))


def _line(e: Exception) -> str:
    return (str(e).splitlines() or [type(e).__name__])[0]
