"""Small DICOM CT series, written with pydicom, with a secret in every tag that could identify a patient."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

SECRET = "SECRET"
IDENTIFYING = {
    "PatientName": f"{SECRET}NAME^JANE", "PatientID": f"{SECRET}ID", "PatientBirthDate": "19470823", "PatientSex": "F",
    "InstitutionName": f"{SECRET}HOSPITAL", "ReferringPhysicianName": f"{SECRET}DOCTOR",
    "AccessionNumber": f"{SECRET}ACC", "StudyDate": "20200401", "StudyTime": "113355", "StudyID": f"{SECRET}STUDY",
    "SeriesDescription": f"{SECRET}SERIES",
    "StudyDescription": f"{SECRET}DESCRIPTION", "OperatorsName": f"{SECRET}OPERATOR", "StationName": f"{SECRET}STATION",
    "PatientComments": f"{SECRET}COMMENT", "ProtocolName": f"{SECRET}PROTOCOL", "DeviceSerialNumber": f"{SECRET}DEVICE",
}  # fmt: skip


def write_series(
    folder: Path,
    hu_SHW: np.ndarray,
    spacing: tuple[float, float, float] = (5.0, 1.5, 1.5),
    uid: str = "1.2.3.4",
    origin: tuple[float, float, float] = (-48.0, -48.0, -100.0),
    **tags: Any,
) -> list[Path]:
    """Write a CT series of slices from foot to head, (rows, columns) each; return its files, numbered from the head.

    ``spacing`` (dz, dy, dx) in mm; ``origin`` the first slice's first pixel in the patient (LPS). ``tags`` replace or
    add tags of all slices. Names and instance numbers run against the positions, so that order by either is wrong.
    """
    folder.mkdir(parents=True, exist_ok=True)
    dz, dy, dx = spacing
    paths = []
    for k, hu in enumerate(hu_SHW):
        number = len(hu_SHW) - k
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID = CTImageStorage
        meta.MediaStorageSOPInstanceUID = f"{uid}.{number}"
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        path = folder / f"IM{number:04d}"
        file = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
        values = {
            "SOPClassUID": CTImageStorage, "SOPInstanceUID": meta.MediaStorageSOPInstanceUID, "Modality": "CT",
            "StudyInstanceUID": f"{uid}.9", "SeriesInstanceUID": uid, "FrameOfReferenceUID": f"{uid}.8",
            "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"], "InstanceNumber": number, "SeriesNumber": 2,
            "Manufacturer": "none", "PositionReferenceIndicator": "",
            "Rows": hu.shape[0], "Columns": hu.shape[1], "PixelSpacing": [dy, dx], "SliceThickness": dz,
            "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
            "ImagePositionPatient": [origin[0], origin[1], origin[2] + k * dz],
            "SamplesPerPixel": 1, "PhotometricInterpretation": "MONOCHROME2", "BitsAllocated": 16, "BitsStored": 16,
            "HighBit": 15, "PixelRepresentation": 0, "RescaleSlope": 1, "RescaleIntercept": -1024, "RescaleType": "HU",
        }  # fmt: skip
        for key, value in {**IDENTIFYING, **values, **tags}.items():
            setattr(file, key, value)
        file.PixelData = (hu + 1024).clip(0).astype(np.uint16).tobytes()
        file.save_as(path, enforce_file_format=True)
        paths.append(path)
    return paths


def change(path: Path, **tags: Any) -> None:
    """Change tags of a file."""
    import pydicom

    file = pydicom.dcmread(path)
    for key, value in tags.items():
        setattr(file, key, value)
    file.save_as(path)
