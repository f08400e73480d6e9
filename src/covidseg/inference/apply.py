"""The verb ``predict``: a mask for each of some scans, their volumes as a table, and a picture to look at.

It needs no plan, no paper file and no training data. One scan is predicted while the next one is read; a scan that
cannot be read costs a line, and the others still come out. A run that was killed goes on with the next scan.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from covidseg.base import csvfile
from covidseg.base.errors import UserError
from covidseg.base.files import sha256
from covidseg.data.canonical import U8
from covidseg.inference.done import Done
from covidseg.inference.intensities import to_input
from covidseg.inference.montage import Montage
from covidseg.inference.outputs import labelled, write_pictures, write_volume
from covidseg.inference.scan import largest_region, volumes
from covidseg.inference.scans import Read, Scan
from covidseg.inference.segmenters import Found, Segmenter

Format = Literal["auto", "dicom-seg"]
Say = Callable[[str], None]


@dataclass(frozen=True)
class Wanted:
    """What to write and where; ``format`` auto: NIfTI, and PNG of pictures."""

    out: Path
    format: Format = "auto"
    probabilities: bool = False


def run(segmenter: Segmenter, scans: Sequence[Scan], wanted: Wanted, say: Say) -> int:
    """Write masks, ``volumes.csv`` and ``montage.png`` into a folder; return how many scans failed.

    ``say`` gets a line per scan. Raises UserError before it starts where a mask would replace a scan.
    """
    out = wanted.out
    _check_outputs(scans, wanted)
    identity = f"{segmenter.sha256} {wanted.format} {wanted.probabilities}"
    done = Done(out / "done.jsonl", identity)
    say(f"{segmenter.about}: {len(scans)} scan{'s' * (len(scans) != 1)} to {out}")
    if segmenter.caveats:
        say(f"note: {'; '.join(segmenter.caveats)}")
    montage = Montage(out, list(segmenter.labels), segmenter.about)
    left = [scan for scan in scans if not _finished(done, scan)]
    if len(left) < len(scans):
        say(f"{len(scans) - len(left)} of them are done already")
    failed = 0
    for number, (scan, prepared, start) in enumerate(_ahead(segmenter, left), len(scans) - len(left) + 1):
        try:
            row, words = _one(segmenter, scan, prepared.result(), wanted, montage)
            done.add(row)
            say(f"{number} of {len(scans)}: {scan.name}, {words}, {time.monotonic() - start:.1f} s")
        except Exception as e:
            failed += 1
            said = e if isinstance(e, UserError) else f"{type(e).__name__}: {e}"
            say(f"{number} of {len(scans)}: {UserError(f'{scan.source}: {said}')}; this scan has no mask")
    montage.flush()
    _finish(done, scans, segmenter, out)
    return failed


@dataclass(frozen=True)
class Prepared:
    """A scan as it was read, and its 8-bit slices."""

    read: Read
    image: U8


def _ahead(segmenter: Segmenter, scans: Sequence[Scan]) -> Iterator[tuple[Scan, Future[Prepared], float]]:
    """Yield each scan with what was read of it and the time its turn came; the next one is read meanwhile."""
    with ThreadPoolExecutor(1) as pool:
        coming = [pool.submit(_prepare, segmenter, scan) for scan in scans[:1]]
        for k, scan in enumerate(scans):
            start, ready = time.monotonic(), coming.pop()
            ready.exception()  # waits, so that no more than two scans are in memory
            coming = [pool.submit(_prepare, segmenter, other) for other in scans[k + 1 : k + 2]]
            yield scan, ready, start


def _prepare(segmenter: Segmenter, scan: Scan) -> Prepared:
    read = scan.read()
    return Prepared(read, to_input(read.image, segmenter.window, segmenter.learned, read.hu))


def _one(
    segmenter: Segmenter, scan: Scan, prepared: Prepared, wanted: Wanted, montage: Montage
) -> tuple[dict[str, Any], str]:
    """Predict one scan and write its files; return its row and a few words."""
    read, image = prepared.read, prepared.image
    found = segmenter.segment(image, read.spacing, wanted.probabilities)
    files = _write(segmenter, scan, read, found, wanted)
    classes = list(segmenter.labels)
    measured = volumes(found.classes, found.lung, None, read.spacing, classes)
    measured = {key: value for key, value in measured.items() if not key.startswith("true_")}  # nobody drew a truth
    voxel = float(np.prod(read.spacing)) / 1000
    largest = round(largest_region(found.classes) * voxel, 4) if np.isfinite(voxel) else None
    words = _in_words(found, measured, classes)
    montage.add(scan.name, image, found.classes, words)
    row = {
        "case": scan.name,
        "source": scan.source,
        "stamp": scan.stamp,
        "slices": len(image),
        **measured,
        "largest_region_ml": largest,
        "files": {path.name: sha256(path) for path in files},
    }
    return row, words


def _in_words(found: Found, measured: dict[str, Any], classes: Sequence[str]) -> str:
    """Return a scan's numbers in a few words; of a picture, whose pixels have no size, the share of its pixels."""
    parts = []
    for k, name in enumerate(classes, 1):
        ml = measured[f"ml_{name}"]
        share = 100 * np.count_nonzero(found.classes == k) / found.classes.size
        parts.append(f"{name} {ml:.1f} ml" if ml is not None else f"{name} {share:.2f} % of the image")
    if (inside := measured.get("lesion_in_lung_percent")) is not None:
        parts.append(f"{inside:.1f} % of the lungs")
    return ", ".join(parts)


def _write(segmenter: Segmenter, scan: Scan, read: Read, found: Found, wanted: Wanted) -> list[Path]:
    """Write a scan's mask, and its probabilities where wanted; return the files."""
    out, note, maps = wanted.out, segmenter.about, found.maps if found.maps is not None else ()
    if wanted.format == "dicom-seg":
        if scan.series is None or read.axcodes is None:
            raise UserError("DICOM SEG refers to a DICOM series, and this is none; leave --format out")
        from covidseg.inference import dicomseg

        files = [out / f"{scan.name}.dcm"]
        classes = list(segmenter.labels)
        dicomseg.write(files[0], scan.series, found.classes, read.axcodes, classes, note, segmenter.sha256)
    mask = labelled(found.classes, list(segmenter.labels.values()))
    if read.affine is None or read.axcodes is None:
        files = write_pictures(out, scan.name, mask, note)
        for name, map_ in zip(segmenter.labels, maps, strict=False):
            files += write_pictures(out, f"{scan.name}-probability-{name}", map_, note)
        return files
    if wanted.format == "auto":
        files = [out / f"{scan.name}.nii.gz"]
        write_volume(files[0], mask, read.affine, read.axcodes, read.header, note)
    for name, map_ in zip(segmenter.labels, maps, strict=False):
        files.append(out / f"{scan.name}-probability-{name}.nii.gz")
        write_volume(files[-1], map_, read.affine, read.axcodes, read.header, note, slope=1 / 255)
    return files


def _check_outputs(scans: Sequence[Scan], wanted: Wanted) -> None:
    """Raise UserError when a mask would replace a scan."""
    given = {path.resolve() for scan in scans for path in scan.paths}
    for scan in scans:
        for suffix in (".nii.gz", ".png", ".dcm"):
            if (path := wanted.out / f"{scan.name}{suffix}").resolve() in given:
                raise UserError(f"{path}: a mask would replace this scan; give --out another folder")


def _finished(done: Done, scan: Scan) -> bool:
    """Tell whether a killed run has finished a scan that has not changed since."""
    row = done.rows.get(scan.name)
    return row is not None and row["stamp"] == scan.stamp


def _finish(done: Done, scans: Sequence[Scan], segmenter: Segmenter, out: Path) -> None:
    """Write ``volumes.csv`` from the rows of the scans, in order of name, the last where one stands twice."""
    wanted = {scan.name for scan in scans}
    rows = {row["case"]: row for row in done.stored() if row["case"] in wanted}
    if not rows:
        done.path.unlink()
        return
    about = {"model": segmenter.name, "model_sha256": segmenter.sha256}
    note = "; ".join([segmenter.about, *segmenter.caveats])
    first = next(iter(rows.values()))
    columns = ["scan", *(key for key in first if key not in ("case", "stamp", "files")), *about, "note"]
    lines = ({**row, "scan": row["case"], **about, "note": note} for _, row in sorted(rows.items()))
    csvfile.write(out / "volumes.csv", columns, ({key: row[key] for key in columns} for row in lines))
    done.path.unlink()
