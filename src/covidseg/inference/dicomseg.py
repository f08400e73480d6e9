"""A mask as DICOM SEG, which a PACS shows over the series that it was made from.

Unlike every other output it carries the patient's identity: the standard asks for it, and a viewer needs it.
"""

from __future__ import annotations

import hashlib
import uuid
import warnings
from collections.abc import Sequence
from pathlib import Path

from covidseg import __version__
from covidseg.base.errors import UserError
from covidseg.base.files import replacing
from covidseg.data.canonical import U8
from covidseg.data.dicom import Series
from covidseg.data.orientation import from_store


def write(path: Path, series: Series, found: U8, axcodes: str, classes: Sequence[str], note: str, sha: str) -> None:
    """Write class numbers (S, H, W) of the store as a segmentation with one segment per class.

    ``note`` describes the model, ``sha`` is its hash. Raises UserError when the series' headers lack what a
    segmentation has to repeat.
    """
    import highdicom as hd
    import numpy as np
    import pydicom
    from pydicom.sr.codedict import codes

    stack = np.ascontiguousarray(from_store(found, axcodes).transpose(2, 1, 0))  # (slices, rows, columns) as filed
    model = hd.AlgorithmIdentificationSequence(
        name=note[:64], version=__version__, family=codes.cid7162.ArtificialIntelligence
    )
    segments = [
        hd.seg.SegmentDescription(
            segment_number=k,
            segment_label=name,
            segmented_property_category=codes.SCT.AnatomicalStructure
            if name == "lung"
            else codes.SCT.MorphologicallyAbnormalStructure,
            segmented_property_type=codes.SCT.Lung if name == "lung" else codes.SCT.Lesion,
            algorithm_type=hd.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
            algorithm_identification=model,
        )
        for k, name in enumerate(classes, 1)
    ]
    try:
        with warnings.catch_warnings(action="ignore"):
            sources = [pydicom.dcmread(file, stop_before_pixels=True) for file in series.files()]
            base = f"{sources[0].SeriesInstanceUID} {sha}"
            made = hd.seg.Segmentation(
                source_images=sources,
                pixel_array=stack,
                segmentation_type=hd.seg.SegmentationTypeValues.BINARY,
                segment_descriptions=segments,
                series_instance_uid=_uid(base),
                series_number=9000,
                sop_instance_uid=_uid(f"{base} instance"),
                instance_number=1,
                manufacturer="covidseg",
                manufacturer_model_name="covidseg",
                software_versions=__version__,
                device_serial_number=sha[:16],
                series_description=note[:64],
                content_description=note[:64],
                content_label="SEGMENTATION",
                omit_empty_frames=bool(stack.any()),
            )
            with replacing(path) as temporary:
                made.save_as(temporary)
    except UserError:
        raise
    except Exception as e:  # highdicom checks the sources by whatever exception comes first
        raise UserError(f"{series.folder}: no DICOM SEG can be made of it ({type(e).__name__}: {e})") from e


def _uid(text: str) -> str:
    """Return a UID that is the same for the same series and model."""
    number = uuid.UUID(bytes=hashlib.sha256(text.encode()).digest()[:16], version=4).int
    return f"2.25.{number}"
