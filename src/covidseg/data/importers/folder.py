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
from dataclasses import replace
from pathlib import Path
from typing import Any

from covidseg.base.errors import UserError
from covidseg.data import dicom
from covidseg.data.canonical import Case
from covidseg.data.importers.read import (
    Volume,
    by_natural_order,
    grey,
    listing,
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


def cases(raw: Path, dataset: Dataset) -> Iterator[Case]:
    """Yield the scans of each role; every scan counts as a patient. ``Dataset.folder`` goes before ``raw``.

    Raises UserError when there are no training images, a training mask is missing, or dataset.json lacks a class.
    """
    root = dataset.folder or raw
    mapping = label_map(root / "dataset.json", dataset.classes)
    _check_masks(root)
    for role, (images, labels) in ROLES.items():
        if role != "train" and not (root / images).is_dir():
            continue
        files, series = scans_in(root / images)
        for path in files:
            name = case_name(path)
            mask = mask_of(root / labels, name) if labels else None
            yield _read(path, mask, name, role if mask else "unlabelled", mapping)
        for each in series:
            mask = mask_of_series(root / labels, each, root / images) if labels else None
            case = _case(each.read(), mask, each.name, role if mask else "unlabelled", mapping)
            yield replace(case, patient=each.patient, hu=True)


def scans_in(folder: Path) -> tuple[list[Path], list[dicom.Series]]:
    """Return the scans below a folder: files, and DICOM series. Raises UserError where there is neither."""
    series = dicom.in_folder(folder)
    return by_natural_order(listing(folder, SUFFIXES) if not series else _files(folder)), series


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.name.endswith(SUFFIXES) and path.name[0] not in "._"]


def mask_of_series(labels: Path, series: dicom.Series, images: Path) -> Path | None:
    """Return the mask of a DICOM series: it has the series' name, or that of the folder in which the series lies."""
    beside = "-".join(series.folder.relative_to(images).parts)
    return mask_of(labels, series.name) or (mask_of(labels, beside) if beside else None)


def _check_masks(root: Path) -> None:
    """Raise UserError when training scans have no mask."""
    images, labels = root / "imagesTr", root / "labelsTr"
    files, series = scans_in(images)
    bare = [path.name for path in files if not mask_of(labels, case_name(path))]
    bare += [f"{each.folder} (series {each.name})" for each in series if not mask_of_series(labels, each, images)]
    if bare:
        more = f" and {len(bare) - 1} more" if len(bare) > 1 else ""
        raise UserError(f"{root / 'labelsTr'}: no mask for {bare[0]}{more}; unlabelled scans go to imagesTs")


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
    if any((folder / "labelsTs").glob("*")):
        return "hold-out"
    labelled = len(listing(folder / "labelsTr", SUFFIXES))
    if labelled < 2:
        raise UserError(f"{folder / 'labelsTr'}: one mask; label a second scan, to test on what was not trained on")
    return f"folds-{min(5, labelled)}"


def labelled_files(root: Path) -> list[Path]:
    """Return all files of a folder but those of scans without labels, as far as names tell these apart.

    A folder of DICOM slices in imagesTs counts as labelled as soon as labelsTs holds something.
    """
    bare, labels = root / "imagesTs", root / "labelsTs"
    masked = labels.is_dir() and any(labels.iterdir())

    def unlabelled(path: Path) -> bool:
        inside = path.relative_to(root).parts
        if inside[0] != "imagesTs":
            return inside[0] == "imagesUn"
        return not masked or (path.parent == bare and mask_of(labels, case_name(path)) is None)

    return sorted(path for path in root.rglob("*") if path.is_file() and not unlabelled(path))


def names(root: Path) -> set[str]:
    """Return the names of the cases that ``cases`` would yield; of files only DICOM headers are opened."""
    found = [scans_in(root / images) for images, _ in ROLES.values() if (root / images).is_dir()]
    return {name for files, series in found for name in (*map(case_name, files), *(each.name for each in series))}


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


def mask_of(folder: Path, name: str) -> Path | None:
    """Return the file of a scan's mask; None where it has none. Raises UserError where it has two."""
    found = [path for suffix in SUFFIXES if (path := folder / f"{name}{suffix}").exists()]
    if len(found) > 1:
        raise UserError(f"{found[1]}: {found[0].name} is a mask of the same scan; keep one of the two")
    return found[0] if found else None


def _read(path: Path, mask: Path | None, name: str, role: str, mapping: Mapping[int, int]) -> Case:
    if path.suffix == ".png":
        image = grey(path)
        label = None
        if mask is not None:
            truth = grey(mask, palette=True)
            same_shape(image, truth, mask)
            label = relabel(truth, mapping, mask, UNNAMED)[None]
        return Case(name, name, role, image[None], label, hu=False)
    return _case(nifti(path), mask, name, role, mapping)


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
    )
