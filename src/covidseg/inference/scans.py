"""The scans that a person names on the command line: NIfTI, PNG and JPEG files, DICOM files and series, folders."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from covidseg.base.errors import UserError, some
from covidseg.base.images import IMAGES, VOLUMES, read_map
from covidseg.data import dicom
from covidseg.data.importers import leftout
from covidseg.data.importers.read import nifti, stem


@dataclass(frozen=True)
class Read:
    """A scan's voxels (S, H, W) in the store's orientation, with its grid.

    ``affine`` and ``axcodes`` are None for a picture; ``header`` is the NIfTI file's own, None for DICOM. ``hu`` is
    True where the format says so.
    """

    image: npt.NDArray[Any]
    spacing: tuple[float, float, float]
    affine: npt.NDArray[np.float64] | None = None
    axcodes: str | None = None
    header: Any = None
    hu: bool | None = None


@dataclass(frozen=True)
class Scan:
    """One scan to predict: ``name`` is that of its mask, ``source`` where it lies, relative to what was named."""

    name: str
    source: str
    kind: Literal["nifti", "picture", "dicom"]
    paths: tuple[Path, ...]
    series: dicom.Series | None = None

    @property
    def stamp(self) -> str:
        """Return what changes when the scan's files do: their sizes and times."""
        stats = [path.stat() for path in self.paths]
        return f"{len(stats)} {sum(s.st_size for s in stats)} {max(s.st_mtime_ns for s in stats)}"

    def read(self) -> Read:
        """Read the scan. Raises UserError when it is damaged or not understood."""
        if self.series is not None:
            volume = self.series.read()
            return Read(volume.array, volume.spacing, volume.affine, volume.axcodes, hu=True)
        if self.kind == "picture":
            found = read_map(self.paths[0])
            return Read(found.values, found.spacing)
        import nibabel as nib

        volume = nifti(self.paths[0])
        header: Any = nib.load(self.paths[0]).header
        return Read(volume.array, volume.spacing, volume.affine, volume.axcodes, header)


def find(inputs: Sequence[Path]) -> tuple[list[Scan], list[str]]:
    """Return the scans among files and folders, in order of name, and a line for each kind of file left out.

    A scan's name is its file's, below a folder with the folders between; a DICOM series has hashes of patient and
    series for a name. Raises UserError for what does not exist, for two scans of one name, and where there is none.
    """
    scans: list[Scan] = []
    said: list[str] = []
    for given in inputs:
        if not given.exists():
            raise UserError(f"{given}: no such file or folder")
        found, left = _in_folder(given) if given.is_dir() else _file(given)
        scans += found
        said += left
    if not scans:
        raise UserError("; ".join([f"{' '.join(map(str, inputs))}: no scan (NIfTI, DICOM, PNG or JPEG)", *said]))
    named: dict[str, Scan] = {}
    for scan in scans:
        if scan.name in named:
            raise UserError(f"{scan.source} and {named[scan.name].source}: both named {scan.name}; rename one")
        named[scan.name] = scan
    return [named[name] for name in sorted(named)], said


def _file(path: Path) -> tuple[list[Scan], list[str]]:
    if dicom.is_dicom(path):
        return _dicom([path], path.parent)
    kind = _kind(path)
    if kind is None:
        raise UserError(f"{path}: not a scan; expected NIfTI, DICOM, PNG or JPEG")
    return [_scan(path, path.parent, kind)], []


def _in_folder(folder: Path) -> tuple[list[Scan], list[str]]:
    scans, series, others, hidden = [], [], [], []
    for path in leftout.below(folder):
        if not path.is_file():
            continue
        kind = _kind(path)
        if path.name.startswith("."):
            hidden.append(path)
        elif kind:
            scans.append(_scan(path, folder, kind))
        elif dicom.is_dicom(path):
            series.append(path)
        else:
            others.append(path)
    found, said = _dicom(series, folder)
    return scans + found, said + _left({"no scans": others, "hidden": hidden}, folder)


def _dicom(paths: Iterable[Path], folder: Path) -> tuple[list[Scan], list[str]]:
    series, left = dicom.series_of(paths)
    scans = [
        Scan(each.name, _relative(each.folder, folder), "dicom", tuple(one.path for one in each.slices), each)
        for each in series
    ]
    return scans, _left(left, folder)


def _scan(path: Path, folder: Path, kind: Literal["nifti", "picture"]) -> Scan:
    inside = path.relative_to(folder)
    name = "-".join([*inside.parts[:-1], _name(path, kind)])
    return Scan(name, inside.as_posix(), kind, (path,))


def _name(path: Path, kind: str) -> str:
    """Return a file's name without its suffix and without nnU-Net's channel number, ``_0000``."""
    return stem(path).removesuffix("_0000") if kind == "nifti" else stem(path)


def _kind(path: Path) -> Literal["nifti", "picture"] | None:
    name = path.name.lower()
    return "nifti" if name.endswith(VOLUMES) else "picture" if name.endswith(IMAGES) else None


def _relative(path: Path, folder: Path) -> str:
    return path.relative_to(folder).as_posix() if path != folder else folder.name


def _left(reasons: dict[str, list[Path]], folder: Path) -> list[str]:
    """Return a line per reason that names the first files."""
    lines = []
    for reason, paths in reasons.items():
        if paths:
            lines.append(f"left out, {reason}: {some([path.relative_to(folder).as_posix() for path in paths])}")
    return lines
