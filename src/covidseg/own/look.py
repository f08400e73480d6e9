"""What a folder of scans holds: layout, scans and masks, spacings, intensities, labels, and what is missing."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from covidseg.base.errors import UserError, some
from covidseg.base.images import IMAGES, VOLUMES
from covidseg.data import dicom
from covidseg.data.canonical import U8, is_hu
from covidseg.data.importers import folder as layout
from covidseg.data.importers import leftout
from covidseg.data.importers.folder import Scan
from covidseg.data.importers.read import Volume, grey, nifti, nifti_mask, stem
from covidseg.inference.intensities import to_input
from covidseg.lungs.threshold import WINDOW

FEW = 16  # a volume of whole numbers with no more values than this is a mask
Say = Callable[[str], None]


@dataclass
class Seen:
    """What was seen in the files; ``problems`` are lines that stop an import."""

    shapes: list[tuple[int, ...]] = field(default_factory=list)
    spacings: list[tuple[float, float, float]] = field(default_factory=list)
    kinds: dict[str, int] = field(default_factory=dict)  # HU or 8-bit -> scans
    low: float = np.inf
    high: float = -np.inf
    labels: dict[int, tuple[int, int]] = field(default_factory=dict)  # value -> masks with it, voxels
    voxels: int = 0  # of all masks
    problems: list[str] = field(default_factory=list)


@dataclass
class Study:
    """A folder as it was found: ``kind`` in words, whether the importer reads it as it is, and its label names."""

    folder: Path
    kind: str
    ready: bool
    pairs: list[Scan]
    names: dict[str, int]
    missing: list[str]
    left_out: dict[str, list[str]]
    seen: Seen = field(default_factory=Seen)

    @property
    def labelled(self) -> list[Scan]:
        """Return the scans with a mask."""
        return [pair for pair in self.pairs if pair.mask]


def look(folder: Path, say: Say = lambda line: None) -> Study:
    """Look at a folder; every scan and mask is read once. Raises UserError where there is no scan at all."""
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder")
    study = _laid_out(folder) if (folder / "imagesTr").is_dir() else _loose(folder)
    if not study.pairs:
        raise UserError(f"{folder}: no NIfTI, PNG or DICOM scan in it")
    for number, pair in enumerate(study.pairs, 1):
        say(f"reading {number} of {len(study.pairs)}: {pair.name}")
        try:
            _see(pair, study.seen)
        except UserError as e:
            study.seen.problems.append(str(e))
    known = set(study.names.values()) | {0}
    if study.names and (unnamed := sorted(set(study.seen.labels) - known)):
        study.seen.problems.append(f"{folder / 'dataset.json'}: names no label {unnamed[0]}, which masks hold; add it")
    return study


def _laid_out(folder: Path) -> Study:
    """Return the layout of nnU-Net or of the Decathlon."""
    described = folder / "dataset.json"
    kind, names, missing = "nnU-Net", {}, []
    if described.is_file():
        names = {name: value for name, value in layout.labels(described).items() if value}
        keys = json.loads(described.read_text("utf-8"))["labels"]
        kind = "Medical Segmentation Decathlon" if all(str(key).isdecimal() for key in keys) else "nnU-Net"
    else:
        missing.append(f"{described}: missing; its labels are named below, from the masks")
    pairs, why = layout.contents(folder)
    bare = [pair.name for pair in pairs if pair.role == "train" and not pair.mask]
    if bare:
        missing.append(f"masks of {len(bare)} training scans: {some(bare)}; without one they belong into imagesTs")
    left = leftout.left_out(folder, [described, *(path for pair in pairs for path in pair.files)], why)
    return Study(folder, f"{kind} layout", described.is_file() and not bare, pairs, names, missing, left)


def _loose(folder: Path) -> Study:
    """Return scans and masks that lie in no layout, paired by shape, grid and name."""
    images: dict[Path, tuple[Any, ...]] = {}
    masks: dict[Path, tuple[Any, ...]] = {}
    for path in leftout.below(folder):
        if leftout.is_read(path, VOLUMES):
            volume = nifti(path)
            grid = (volume.array.shape, volume.axcodes, *np.round(volume.affine, 2).ravel().tolist())
            (masks if _is_mask(volume) else images)[path] = grid
    series, localizers = dicom.in_folder(folder)
    pairs = [Scan(_flat(path, folder), path, None, "unlabelled") for path in images]
    pairs += [Scan(each.name, each, None, "unlabelled") for each in series]
    if not masks:
        kind = "DICOM series" if series and not images else "scans"
        return Study(
            folder, f"{kind} without masks", False, pairs, {}, ["masks: none found"], _left(folder, pairs, localizers)
        )
    mates = {path: _mate(path, images, grid) for path, grid in masks.items()}
    taken = list(mates.values())
    missing = [
        f"the scan of {path.relative_to(folder)}: none of its size and grid"
        + (" belongs to it alone" if mate is not None else "")
        for path, mate in mates.items()
        if mate is None or taken.count(mate) > 1
    ]
    found = {mate: path for path, mate in mates.items() if mate is not None and taken.count(mate) == 1}
    pairs = [
        Scan(pair.name, pair.image, found.get(pair.image), "train" if pair.image in found else "unlabelled")
        if isinstance(pair.image, Path)
        else pair
        for pair in pairs
    ]
    return Study(
        folder, "pairs of NIfTI scans and masks", False, pairs, {}, missing, _left(folder, pairs, localizers, masks)
    )


def _left(folder: Path, pairs: list[Scan], localizers: list[Path], masks: Iterable[Path] = ()) -> dict[str, list[str]]:
    """Return reason -> files of a folder without layout that are no part of a pair."""
    why = dict.fromkeys(localizers, dicom.LOCALIZERS) | dict.fromkeys(
        masks, "a mask without a scan of its size and grid"
    )
    return leftout.left_out(folder, [path for pair in pairs for path in pair.files], why)


def _is_mask(volume: Volume) -> bool:
    array = volume.array
    if array.size and (array.min() < 0 or array.max() > 255 or not np.array_equal(array, np.rint(array))):
        return False
    return len(np.unique(array)) <= FEW


def _mate(mask: Path, images: Mapping[Path, tuple[Any, ...]], grid: tuple[Any, ...]) -> Path | None:
    """Return the image on a mask's grid whose name begins most like the mask's; None where two are alike or none is."""
    same = [path for path, theirs in images.items() if theirs == grid]
    score = {path: _alike(stem(path), stem(mask)) for path in same}
    best = max(score.values(), default=0)
    winners = [path for path, length in score.items() if length == best]
    return winners[0] if len(winners) == 1 and best else None


def _alike(one: str, other: str) -> int:
    """Return how many characters two names begin with in common."""
    return next((k for k, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


def _see(pair: Scan, seen: Seen) -> None:
    """Read a scan and its mask."""
    if isinstance(pair.image, Path) and pair.image.suffix in IMAGES:
        image: Any = grey(pair.image)[None]
        mask = None if pair.mask is None else grey(pair.mask, palette=True)[None]
        spacing, where = (np.nan,) * 3, str(pair.image)
    else:
        volume = nifti(pair.image) if isinstance(pair.image, Path) else pair.image.read()
        mask = None if pair.mask is None else nifti_mask(pair.mask, volume)
        image, spacing, where = volume.array, volume.spacing, str(getattr(pair.image, "folder", pair.image))
    if mask is not None and mask.shape != image.shape:
        raise UserError(f"{pair.mask}: mask of shape {mask.shape} for an image of shape {image.shape}")
    try:
        to_input(image, WINDOW, "both", isinstance(pair.image, dicom.Series) or None)
    except UserError as e:
        raise UserError(f"{where}: {e}") from None
    kind = "HU" if is_hu(image) else "8-bit"
    seen.kinds[kind] = seen.kinds.get(kind, 0) + 1
    seen.shapes.append(image.shape)
    seen.spacings.append(spacing)
    seen.low, seen.high = min(seen.low, float(image.min())), max(seen.high, float(image.max()))
    if mask is not None:
        _count(mask, seen)


def _count(mask: U8, seen: Seen) -> None:
    seen.voxels += mask.size
    for value, voxels in enumerate(np.bincount(mask.ravel()).tolist()):
        if value and voxels:
            masks, before = seen.labels.get(value, (0, 0))
            seen.labels[value] = (masks + 1, before + voxels)


def words(study: Study) -> Iterator[str]:
    """Yield what was found, a line each."""
    seen = study.seen
    roles = [f"{len(study.labelled)} labelled", f"{len(study.pairs) - len(study.labelled)} without a mask"]
    yield f"{study.folder}: {study.kind}"
    yield f"  scans: {', '.join(roles)}"
    if seen.shapes:
        slices, rows, columns = zip(*seen.shapes, strict=True)
        yield f"  size: {_range(rows)} x {_range(columns)} pixels, {_range(slices)} slices"
        across = [mm for _, dy, dx in seen.spacings for mm in (dy, dx)]
        yield f"  spacing: {_range(across)} mm in a slice, {_range(dz for dz, _, _ in seen.spacings)} mm between slices"
        kinds = ", ".join(f"{kind} in {count}" for kind, count in sorted(seen.kinds.items()))
        yield f"  intensities: {seen.low:g} to {seen.high:g} ({kinds})"
    for name, value in study.names.items():
        masks, voxels = seen.labels.get(value, (0, 0))
        share = 100 * voxels / seen.voxels if seen.voxels else 0
        yield f"  label {name} = {value}: in {masks} of {len(study.labelled)} masks, {share:.2f} % of their voxels"
    for line in study.missing:
        yield f"  missing: {line}"
    for line in leftout.in_words(study.left_out):
        yield f"  {line}"
    for line in seen.problems:
        yield f"  wrong: {line}"


def _range(values: Iterable[float]) -> str:
    known = [value for value in values if np.isfinite(value)]
    if not known:
        return "unknown"
    low, high = min(known), max(known)
    return f"{low:.4g}" if low == high else f"{low:.4g} to {high:.4g}"


def _flat(path: Path, folder: Path) -> str:
    parts = path.relative_to(folder).parts
    return "-".join([*parts[:-1], stem(path)])
