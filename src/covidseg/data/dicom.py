"""DICOM CT: the series below a folder, each as one volume of Hounsfield units in the store's orientation.

Of a file's header only ``TAGS`` are read, so that nothing else can reach an output. Names of scans are hashes of the
patient's ID and of the series' UID: the same patient keeps one name, and the ID itself is written nowhere.
"""

from __future__ import annotations

import hashlib
import os.path
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from covidseg.base.errors import UserError
from covidseg.data.importers import leftout
from covidseg.data.importers.read import Volume
from covidseg.data.orientation import spacing_to_store, to_store

TAGS = (
    "SOPClassUID", "Modality", "ImageType", "PatientID", "SeriesInstanceUID", "NumberOfFrames", "SamplesPerPixel",
    "PhotometricInterpretation", "Rows", "Columns", "PixelSpacing", "SliceThickness", "ImageOrientationPatient",
    "ImagePositionPatient", "RescaleType",
)  # fmt: skip
ENHANCED = "1.2.840.10008.5.1.4.1.1.2.1"  # Enhanced CT Image Storage: all slices in one file
DIRECTORY = "1.2.840.10008.1.3.10"  # the file DICOMDIR
EVEN = 0.1  # share of the slice distance by which a slice may lie beside its place in an even stack
Vector = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Slice:
    """What is kept of one file's header: lengths in mm, positions and directions in the patient (LPS)."""

    path: Path
    series: str
    patient: str
    shape: tuple[int, int]
    spacing: tuple[float, float]  # between rows, between columns
    thickness: float
    orientation: tuple[float, ...]
    position: tuple[float, float, float]


@dataclass(frozen=True)
class Series:
    """One DICOM series: its files as found. ``name`` and ``patient`` are hashes, ``folder`` the files' common one.

    ``problem`` says why it cannot be read as a whole: a file beside its own is damaged.
    """

    name: str
    patient: str
    folder: Path
    slices: tuple[Slice, ...]
    problem: str = ""

    @property
    def paths(self) -> list[Path]:
        """Return the files as they were found."""
        return [one.path for one in self.slices]

    def files(self) -> list[Path]:
        """Return the files in the order of their position along the normal of the slices.

        Raises UserError for doubled positions, gaps, uneven distances, slices that do not stack, and tilted stacks.
        """
        return [one.path for one in _stacked(self)]

    def read(self) -> Volume:
        """Return the volume. Raises UserError where ``files`` does, and for pixels that cannot be decoded."""
        import nibabel as nib

        slices = _stacked(self)
        array = np.stack([_pixels(one) for one in slices], axis=2)  # (columns, rows, slices), as in NIfTI
        affine = _affine(slices)
        axcodes = "".join(str(code) for code in nib.orientations.aff2axcodes(affine))
        zooms = [float(step) for step in np.linalg.norm(affine[:3, :3], axis=0)]
        if len(slices) == 1 and not np.isfinite(slices[0].thickness):
            zooms[2] = float("nan")
        return Volume(to_store(array, axcodes), spacing_to_store(zooms, axcodes), affine, axcodes)


def is_dicom(path: Path) -> bool:
    """Tell whether a file starts as DICOM files do: 128 bytes of anything, then DICM."""
    try:
        with open(path, "rb") as f:
            return f.read(132)[128:] == b"DICM"
    except OSError:
        return False


def series_of(paths: Iterable[Path]) -> tuple[list[Series], dict[str, list[Path]]]:
    """Return the CT series among DICOM files, in order of name, and reason -> files that belong to none.

    A file whose header cannot be read might be a slice of any series in its folder: these get it as their problem, and
    the file's own message is a reason.
    """
    found: dict[tuple[str, str], list[Slice]] = {}
    left: dict[str, list[Path]] = {}
    damaged: dict[Path, str] = {}  # folder -> what is wrong with a file in it
    for path in sorted(paths):
        try:
            one, reason = _header(path)
        except UserError as e:
            one, reason = None, str(e)
            damaged.setdefault(path.parent, reason)
        if one is None:
            left.setdefault(reason, []).append(path)
        else:
            found.setdefault((one.patient, one.series), []).append(one)
    series = []
    for (patient, uid), slices in found.items():
        who = patient_name(patient)
        name = f"{who}-s{hashlib.sha256(uid.encode()).hexdigest()[:8]}"
        problem = next((damaged[one.path.parent] for one in slices if one.path.parent in damaged), "")
        series.append(Series(name, who, _common([one.path for one in slices]), tuple(slices), problem))
    return sorted(series, key=lambda each: each.name), left


def patient_name(patient_id: str) -> str:
    """Return the name that stands for a patient's ID.

    A slow hash, so that the few million IDs of a hospital cannot be tried out in no time.
    """
    digest = hashlib.scrypt(patient_id.encode(), salt=b"covidseg", n=2**14, r=8, p=1, dklen=4)
    return f"p{digest.hex()}"


def _common(paths: Sequence[Path]) -> Path:
    return Path(os.path.commonpath({path.parent for path in paths}))


def _header(path: Path) -> tuple[Slice | None, str]:
    """Return what is known of a CT image; None and the reason for a file that is none."""
    import pydicom

    try:
        with warnings.catch_warnings(action="ignore"):
            header = pydicom.dcmread(path, specific_tags=list(TAGS), stop_before_pixels=True)
            if header.get("SOPClassUID") == ENHANCED or int(header.get("NumberOfFrames") or 1) > 1:
                raise UserError(
                    f"{path}: all slices in one file (enhanced CT) are not read; convert it, e.g. with dcm2niix"
                )
            if header.file_meta.get("MediaStorageSOPClassUID") == DIRECTORY:
                return None, "a directory of DICOM files"
            if not header.get("Modality"):
                raise UserError(f"{path}: the header is cut off, or lacks Modality; export it again")
            if header.Modality != "CT":
                return None, f"not CT but {header.Modality}"
            if "LOCALIZER" in (header.get("ImageType") or ()):
                return None, LOCALIZERS
            return _slice(path, header), ""
    except UserError:
        raise
    except Exception as e:  # a damaged header makes pydicom raise almost anything
        raise UserError(f"{path}: corrupt or not DICOM ({type(e).__name__}: {e}); export it again") from e


def _slice(path: Path, header: Any) -> Slice:
    needed = ("SeriesInstanceUID", "Rows", "Columns", "PixelSpacing", "ImageOrientationPatient", "ImagePositionPatient")
    if missing := [key for key in needed if header.get(key) in (None, "")]:
        raise UserError(f"{path}: the header lacks {' and '.join(missing)}; export the original series again")
    if header.get("SamplesPerPixel", 1) != 1 or header.get("PhotometricInterpretation") != "MONOCHROME2":
        raise UserError(f"{path}: a colour or inverted image; export the original series, not a screenshot")
    if (kind := header.get("RescaleType") or "HU") not in ("HU", "US", "HU_MOD"):
        raise UserError(f"{path}: values in {kind}, not HU; export the original CT series")
    thickness = header.get("SliceThickness")
    down, right = (float(mm) for mm in header.PixelSpacing)
    x, y, z = (float(mm) for mm in header.ImagePositionPatient)
    return Slice(
        path=path,
        series=str(header.SeriesInstanceUID),
        patient=str(header.get("PatientID") or ""),
        shape=(int(header.Rows), int(header.Columns)),
        spacing=(down, right),
        thickness=float(thickness) if thickness not in (None, "") and float(thickness) > 0 else float("nan"),
        orientation=tuple(float(part) for part in header.ImageOrientationPatient),
        position=(x, y, z),
    )


def _stacked(series: Series) -> list[Slice]:
    """Return the slices by position, checked to be an even stack."""
    if series.problem:
        raise _refused(series, f"a file beside its slices is damaged, and may be one of them: {series.problem}")
    first = series.slices[0]
    for one in series.slices[1:]:
        for what, mine, theirs in (
            ("size", one.shape, first.shape),
            ("pixel spacing", one.spacing, first.spacing),
            ("orientation", one.orientation, first.orientation),
        ):
            if not np.allclose(mine, theirs, rtol=0, atol=1e-3):
                raise _refused(series, f"{one.path.name} has another {what} than {first.path.name}")
    normal = _normal(first)
    places = [float(np.dot(one.position, normal)) for one in series.slices]
    order = np.argsort(places, kind="stable")
    slices, z = [series.slices[k] for k in order], np.array(places)[order]
    if len(slices) > 1:
        _check_even(series, slices, z)
        _check_straight(series, slices, normal)
    return slices


def _check_even(series: Series, slices: Sequence[Slice], z: Vector) -> None:
    steps = np.diff(z)
    step = float(np.median(steps))
    for k in np.flatnonzero(steps < max(0.01, EVEN * step)).tolist():
        pair = f"{slices[k].path.name} and {slices[k + 1].path.name}"
        raise _refused(series, f"{pair} lie at one position ({z[k]:.2f} mm); keep one of each pair")
    for k in np.flatnonzero(np.abs(steps - step) > EVEN * step).tolist():
        pair = f"{slices[k].path.name} and {slices[k + 1].path.name}"
        missing = round(steps[k] / step) - 1
        what = f"{missing} missing" if missing > 0 else "uneven"
        raise _refused(
            series, f"{steps[k]:.2f} mm between {pair}, where slices are {step:.2f} mm apart ({what}); export it again"
        )


def _check_straight(series: Series, slices: Sequence[Slice], normal: Vector) -> None:
    """Refuse a stack that leans: the gantry was tilted, and its slices are no box of voxels."""
    way = np.subtract(slices[-1].position, slices[0].position)
    drift = float(np.linalg.norm(way - np.dot(way, normal) * normal))
    if drift > min(slices[0].spacing):
        angle = np.degrees(np.arctan2(drift, np.dot(way, normal)))
        raise _refused(series, f"the gantry was tilted by {angle:.1f} degrees; resample it to a straight volume")


def _refused(series: Series, why: str) -> UserError:
    return UserError(f"{series.folder} (series {series.name}): {why}")


def _normal(one: Slice) -> Vector:
    row, column = np.array(one.orientation[:3]), np.array(one.orientation[3:])
    normal = np.cross(row, column)
    if not 0.99 < float(np.linalg.norm(normal)) < 1.01:
        raise UserError(f"{one.path}: the orientation's two directions are not perpendicular; export it again")
    return np.asarray(normal / np.linalg.norm(normal))


def _affine(slices: Sequence[Slice]) -> Vector:
    """Return the affine of (column, row, slice) to the patient in NIfTI's directions (RAS), in mm."""
    first = slices[0]
    affine = np.eye(4)
    affine[:3, 0] = np.array(first.orientation[:3]) * first.spacing[1]
    affine[:3, 1] = np.array(first.orientation[3:]) * first.spacing[0]
    if len(slices) > 1:
        affine[:3, 2] = np.subtract(slices[-1].position, first.position) / (len(slices) - 1)
    else:
        affine[:3, 2] = _normal(first) * (first.thickness if np.isfinite(first.thickness) else 1.0)
    affine[:3, 3] = first.position
    return np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine


def _pixels(one: Slice) -> npt.NDArray:
    """Return a file's values (columns, rows) with its rescale slope and intercept applied: HU."""
    import SimpleITK as sitk  # noqa: N813

    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    try:
        image = sitk.ReadImage(str(one.path), imageIO="GDCMImageIO")
    except RuntimeError as e:
        said = next((line for line in reversed(str(e).splitlines()) if line.strip()), "")
        raise UserError(f"{one.path}: its pixels cannot be decoded ({said.strip()}); export it again") from e
    array = sitk.GetArrayFromImage(image).reshape(one.shape)
    return np.ascontiguousarray(array.T)


LOCALIZERS = "localizers"


def in_folder(folder: Path) -> tuple[list[Series], list[Path]]:
    """Return the CT series below a folder of scans to learn from, and its localizers, which are no scans.

    Raises UserError for a DICOM file that is damaged or of anything else, and for a series that stands there twice.
    """
    found, left = series_of(below(folder))
    for reason, paths in left.items():
        if reason != LOCALIZERS:
            said = reason if str(paths[0]) in reason else f"{paths[0]}: {reason}"
            raise UserError(f"{said}; only CT series can stand in {folder}, move it elsewhere")
    return found, left.get(LOCALIZERS, [])


def below(folder: Path) -> Iterator[Path]:
    """Yield the DICOM files below a folder, in order of path."""
    yield from (path for path in leftout.below(folder) if path.is_file() and is_dicom(path))
