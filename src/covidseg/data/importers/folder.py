"""A user's own data in the layout of nnU-Net v2 or of the Medical Segmentation Decathlon.

``imagesTr`` with masks of the same names in ``labelsTr``, ``imagesTs`` with masks in ``labelsTs`` where there are some
(a scan without one is unlabelled), ``imagesUn`` for more unlabelled scans, and ``dataset.json`` with the label map.
nnU-Net's channel suffix ``_0000`` is taken off; a second channel is refused. NIfTI volumes, 8-bit grey PNG slices, or
DICOM series anywhere below ``imagesTr`` and so on: a series is named by hashes of patient and series, and its mask, a
NIfTI file on its grid, by that name or by the folder in which the series lies.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from covidseg.base import names
from covidseg.base.errors import UserError
from covidseg.data import dicom
from covidseg.data.canonical import Case
from covidseg.data.importers import leftout
from covidseg.data.importers.read import (
    Volume,
    by_natural_order,
    grey,
    nifti,
    nifti_mask,
    relabel,
    same_shape,
    stem,
)
from covidseg.schema import Dataset, OwnScans, parse

ROLES = {"train": ("imagesTr", "labelsTr"), "test": ("imagesTs", "labelsTs"), "unlabelled": ("imagesUn", None)}
SUFFIXES = (".nii.gz", ".nii", ".png")
UNNAMED = "correct the mask, or name them in dataset.json"


@dataclass(frozen=True)
class Scan:
    """A scan of the folder: its file or DICOM series, its mask where it has one, and the role that its place gives."""

    name: str
    image: Path | dicom.Series
    mask: Path | None
    role: str

    @property
    def files(self) -> list[Path]:
        """Return the files of the scan and its mask."""
        image = [self.image] if isinstance(self.image, Path) else self.image.paths
        return image + ([self.mask] if self.mask else [])


def cases(raw: Path, dataset: Dataset) -> Iterator[Case]:
    """Yield the scans of each role; every scan counts as a patient. ``Dataset.folder`` goes before ``raw``.

    Raises UserError when there are no training images, a training mask is missing, or dataset.json lacks a class.
    """
    root = dataset.folder or raw
    mapping = label_map(root / "dataset.json", dataset.classes)
    scans, _ = contents(root)
    _check_masks(root, scans)
    for scan in scans:
        role = scan.role if scan.mask else "unlabelled"
        if isinstance(scan.image, Path):
            yield _read(scan.image, scan.mask, scan.name, role, mapping)
        else:
            case = _case(scan.image.read(), scan.mask, scan.name, role, mapping)
            yield replace(case, patient=scan.image.patient, hu=True)


def left_out(raw: Path, dataset: Dataset) -> dict[str, list[str]]:
    """Return reason -> files of the folder that ``cases`` does not use."""
    root = dataset.folder or raw
    scans, why = contents(root)
    return leftout.left_out(root, [root / "dataset.json", *(path for scan in scans for path in scan.files)], why)


def contents(root: Path) -> tuple[list[Scan], dict[Path, str]]:
    """Return the scans of a folder, role by role, and file -> why it is left out, as a mask without a scan.

    Raises UserError where there is no training image, for two scans of one name, and for a name that no case can have.
    """
    scans: dict[str, Scan] = {}
    why: dict[Path, str] = {}
    for role, (images, labels) in ROLES.items():
        if role != "train" and not (root / images).is_dir():
            continue
        masks = masks_in(root / labels) if labels else {}
        files, series, localizers = scans_in(root / images)
        why |= dict.fromkeys(localizers, dicom.LOCALIZERS)
        here = [Scan(case_name(path), path, masks.get(case_name(path)), role) for path in files]
        here += [Scan(each.name, each, _mask_of_series(masks, each, root / images), role) for each in series]
        for scan in here:
            names.check(scan.name, str(scan.image if isinstance(scan.image, Path) else scan.image.folder))
            if other := scans.get(scan.name):
                raise UserError(f"{_place(scan)}: {_place(other)} is a scan of the same name; keep one, or rename it")
            scans[scan.name] = scan
        unused = set(masks.values()) - {scan.mask for scan in here}
        why |= dict.fromkeys(unused, f"a mask without a scan of its name in {images}")
    for role, (images, labels) in ROLES.items():
        if labels and role != "train" and not (root / images).is_dir() and (root / labels).is_dir():
            why |= dict.fromkeys(masks_in(root / labels).values(), f"a mask without a scan of its name in {images}")
    return list(scans.values()), why


def scans_in(folder: Path) -> tuple[list[Path], list[dicom.Series], list[Path]]:
    """Return the scans below a folder: files, and DICOM series; and the DICOM files that are localizers.

    Raises UserError where there is no scan.
    """
    series, localizers = dicom.in_folder(folder)
    files = by_natural_order(path for path in leftout.below(folder) if leftout.is_read(path, SUFFIXES))
    if not files and not series:
        raise UserError(f"{folder}: no {' or '.join(SUFFIXES)} files and no DICOM series; check the path")
    return files, series, localizers


def masks_in(folder: Path) -> dict[str, Path]:
    """Return name -> mask of the masks below a folder. Raises UserError for two masks of one name."""
    found: dict[str, Path] = {}
    for path in leftout.below(folder):
        if leftout.is_read(path, SUFFIXES):
            if other := found.get(stem(path)):
                raise UserError(f"{path}: {other.name} is a mask of the same scan; keep one of the two")
            found[stem(path)] = path
    return found


def check_names(root: Path) -> None:
    """Check the names of a folder's files without opening one, before anything is made of them. Raises UserError."""
    for images, labels in ROLES.values():
        seen: dict[str, Path] = {}
        for path in leftout.below(root / images):
            if leftout.is_read(path, SUFFIXES):
                name = names.check(case_name(path), str(path))
                if other := seen.get(name):
                    raise UserError(f"{path}: {other.name} is a scan of the same name; keep one, or rename it")
                seen[name] = path
        if labels:
            masks_in(root / labels)


def _place(scan: Scan) -> Path:
    return scan.image if isinstance(scan.image, Path) else scan.image.folder


def _mask_of_series(masks: Mapping[str, Path], series: dicom.Series, images: Path) -> Path | None:
    """Return the mask of a DICOM series: it has the series' name, or that of the folder in which the series lies."""
    return masks.get(series.name) or masks.get("-".join(series.folder.relative_to(images).parts))


def _check_masks(root: Path, scans: list[Scan]) -> None:
    """Raise UserError when training scans have no mask."""
    bare = [scan for scan in scans if scan.role == "train" and not scan.mask]
    if bare:
        first = bare[0].image.name if isinstance(bare[0].image, Path) else f"{_place(bare[0])} (series {bare[0].name})"
        more = f" and {len(bare) - 1} more" if len(bare) > 1 else ""
        raise UserError(f"{root / 'labelsTr'}: no mask for {first}{more}; unlabelled scans go to imagesTs")


def described(scans: OwnScans, title: str) -> Dataset:
    """Return the data set that a user's scans are; its classes are those of dataset.json, but for ignore.

    Raises UserError when the folder or dataset.json is missing.
    """
    named = {name: value for name, value in labels(scans.folder / "dataset.json").items() if value}
    wanted = [name for name in named if name != "ignore"] if scans.classes is None else scans.classes
    if missing := [name for name in wanted if name not in named]:
        legal = ", ".join(named)
        raise UserError(f"{scans.folder / 'dataset.json'}: no label named {missing[0]!r}; its labels: {legal}")
    return parse(
        Dataset,
        scans.model_dump()
        | {
            "lungs": scans.lungs or "threshold",
            "title": title,
            "about": f"scans in {scans.folder}",
            "licence": "your own",
            "importer": "folder",
            "classes": {name: named[name] for name in wanted},
        },
        str(scans.folder / "dataset.json"),
    )


def default_split(scans: OwnScans) -> str:
    """Return the rule of the split where none is named: hold-out where test scans have masks, else up to five folds."""
    folder = scans.folder
    if _labelled(folder, "test"):
        return "hold-out"
    labelled = _labelled(folder, "train")
    if labelled < 2:
        found = "one mask" if labelled else "no mask of a scan in imagesTr"
        raise UserError(f"{folder / 'labelsTr'}: {found}; label a second scan, to test on what was not trained on")
    return f"folds-{min(5, labelled)}"


def _labelled(root: Path, role: str) -> int:
    """Return how many scans of a role have a mask, by the files' names: beside DICOM files every mask counts."""
    images, labels = ROLES[role]
    masks = masks_in(root / str(labels))
    files = leftout.below(root / images)
    named = {case_name(path) for path in files if leftout.is_read(path, SUFFIXES)}
    others = (path for path in files if not path.name.lower().endswith(SUFFIXES) and path.is_file())
    return len(masks if any(map(dicom.is_dicom, others)) else masks.keys() & named)


def labelled_files(root: Path) -> list[Path]:
    """Return all files of a folder but those of scans without labels, as far as names tell these apart.

    A folder of DICOM slices in imagesTs counts as labelled as soon as labelsTs holds a mask.
    """
    masks = masks_in(root / "labelsTs")

    def unlabelled(path: Path) -> bool:
        inside = path.relative_to(root).parts
        if inside[0] != "imagesTs":
            return inside[0] == "imagesUn"
        return not masks or (leftout.is_read(path, SUFFIXES) and case_name(path) not in masks)

    return [path for path in leftout.below(root) if not unlabelled(path)]


def names_of_cases(root: Path) -> set[str]:
    """Return the names of the cases that ``cases`` would yield; of files only DICOM headers are opened."""
    return {scan.name for scan in contents(root)[0]}


def label_map(path: Path, classes: Mapping[str, int]) -> dict[int, int]:
    """Return value in the user's masks -> value in the store; labels that are no class become background."""
    known = labels(path)
    if missing := sorted(set(classes) - set(known)):
        raise UserError(f"{path}: no label named {missing[0]!r}; its labels: {', '.join(sorted(known))}")
    return {0: 0} | {value: classes.get(name, 0) for name, value in known.items()}


def labels(path: Path) -> dict[str, int]:
    """Return label -> value in the user's masks, by value, from either form of dataset.json.

    nnU-Net v2 writes ``{"name": value}``, the Decathlon ``{"value": "name"}``. What a name of ours cannot hold, as a
    space, becomes a dash.
    """
    try:
        found = json.loads(path.read_text("utf-8"), object_pairs_hook=_once)["labels"]
        if not isinstance(found, dict):
            raise ValueError(f"labels is a {type(found).__name__}")
        pairs = {(_value(k), str(v)) if str(k).isdecimal() else (_value(v), str(k)) for k, v in found.items()}
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; write one with the labels, as nnU-Net does") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as e:
        said = "no labels" if isinstance(e, KeyError) else e
        raise UserError(f'{path}: expected "labels": {{"background": 0, "infection": 1}} or the like ({said})') from e
    named = {re.sub(r"[^A-Za-z0-9._-]+", "-", name): value for value, name in sorted(pairs)}
    values = [value for value, _ in pairs]
    if doubled := sorted({value for value in values if values.count(value) > 1}):
        both = " and ".join(sorted(name for value, name in pairs if value == doubled[0]))
        raise UserError(f"{path}: label value {doubled[0]} has two names, {both}; give each its own value")
    if len(named) < len(pairs):
        raise UserError(f"{path}: two labels have one name once what is no letter or digit is a dash; rename one")
    if named.get("background", 0):
        raise UserError(f"{path}: background is {named['background']}; background is 0, rename that label")
    return named


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return a JSON object. Raises ValueError for a key that stands twice: a parser would keep the last one only."""
    keys = [key for key, _ in pairs]
    if doubled := sorted({key for key in keys if keys.count(key) > 1}):
        raise ValueError(f"the key {doubled[0]!r} stands twice")
    return dict(pairs)


def _value(value: Any) -> int:
    """Return a label's value. Raises ValueError when it is none of an 8-bit mask."""
    if isinstance(value, list):
        raise ValueError("regions of several labels: name the single labels, and join them with unions: in the paper")
    if isinstance(value, bool | float) or not 0 <= int(value) <= 255:
        raise ValueError(f"{str(value)[:20]} is no label of 0 to 255")
    return int(value)


def case_name(path: Path) -> str:
    """Return a scan's name without suffix and channel. Raises UserError for a second channel."""
    name, _, channel = stem(path).rpartition("_")
    if not name or len(channel) != 4 or not channel.isdecimal():
        return stem(path)
    if channel != "0000":
        raise UserError(f"{path}: a second channel; CT has one, keep the files that end in _0000")
    return name


def _read(path: Path, mask: Path | None, name: str, role: str, mapping: Mapping[int, int]) -> Case:
    if path.suffix.lower() == ".png":
        image = grey(path)
        label = None
        if mask is not None:
            truth = grey(mask, palette=True)
            same_shape(image, truth, mask)
            label = relabel(truth, mapping, mask, UNNAMED)[None]
        return Case(name, name, role, image[None], label, hu=False)
    return _case(nifti(path, by_slabs=True), mask, name, role, mapping)


def _case(volume: Volume, mask: Path | None, name: str, role: str, mapping: Mapping[int, int]) -> Case:
    return Case(
        name=name,
        patient=name,
        role=role,
        image=volume.array,
        label=None if mask is None else relabel(nifti_mask(mask, volume), mapping, mask, UNNAMED),
        spacing=volume.spacing,
        affine=volume.affine,
        axcodes=volume.axcodes,
        notes=volume.notes,
    )
