"""Memory and time of importing one scan of many slices, and of its threshold lungs.

    python benchmarks/large_scan.py [--slices 3000] [--side 512] [--folder DIR]

Writes a scan and its mask as .nii.gz, imports them and makes lung masks, each step in a process of its own, and prints
the peak resident memory and the seconds of each.
"""

from __future__ import annotations

import argparse
import gzip
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import nibabel as nib
import numpy as np

STEPS = {
    "import": (
        "from covidseg.data import canonical, importers; from covidseg.schema import Dataset; "
        "data = Dataset.model_validate({'title': 'large', 'about': '', 'licence': '', 'importer': 'folder', "
        "'classes': {'lesion': 1}, 'window': [-1250, 250]}); "
        "canonical.write(importers.cases(root / 'scans', data), data, root / 'large')"
    ),
    "threshold lungs": (
        "from covidseg.lungs import Request, predictor, write_masks; "
        "write_masks(root / 'large', root / 'large/lungs.h5', 'threshold', predictor('threshold', Request()))"
    ),
}
MEASURED = (
    "import resource, sys, time; from pathlib import Path; root = Path(sys.argv[1]); start = time.monotonic(); {step}; "
    "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, time.monotonic() - start)"
)


def chest(side: int) -> np.ndarray:
    """Return a slice in HU, (side, side): a body with two lungs in which vessels lie, and noise."""
    y, x = np.mgrid[0:side, 0:side] / side
    hu = np.full((side, side), -1000.0)
    hu[(y - 0.5) ** 2 / 0.12 + (x - 0.5) ** 2 / 0.2 < 1] = 40
    for middle in (0.3, 0.7):
        hu[(y - 0.5) ** 2 / 0.05 + (x - middle) ** 2 / 0.02 < 1] = -850
    hu[np.hypot((y * 16) % 1 - 0.5, (x * 16) % 1 - 0.5) < 0.12] = 30
    return hu + np.random.default_rng(0).normal(0, 20, hu.shape)


def write(path: Path, piece: np.ndarray, slices: int) -> None:
    """Write a volume of equal slices, one at a time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    header = nib.Nifti1Image(piece[:, :, None], np.diag([-0.7, -0.7, 0.5, 1.0])).header
    header.set_data_shape((*piece.shape, slices))
    header["vox_offset"] = 352  # header and four bytes that say that no extension follows
    with gzip.open(path, "wb", compresslevel=1) as f:
        f.write(header.binaryblock + bytes(4))
        for _ in range(slices):
            f.write(piece.tobytes(order="F"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--slices", type=int, default=3000)
    parser.add_argument("--side", type=int, default=512)
    parser.add_argument("--folder", type=Path)
    given = parser.parse_args()
    root = Path(tempfile.mkdtemp(prefix="covidseg-large-", dir=given.folder))
    try:
        hu = chest(given.side).T.astype(np.int16)
        write(root / "scans/imagesTr/s.nii.gz", hu, given.slices)
        write(root / "scans/labelsTr/s.nii.gz", (hu > 0).astype(np.uint8), given.slices)
        (root / "scans/dataset.json").write_text(json.dumps({"labels": {"background": 0, "lesion": 1}}))
        for name, step in STEPS.items():
            command = [sys.executable, "-c", MEASURED.format(step=step), str(root)]
            memory, seconds = map(
                float, subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.split()
            )
            print(
                f"{name}: {given.slices} x {given.side} x {given.side}, {memory:.0f} MiB, {seconds:.0f} s", flush=True
            )
    finally:
        shutil.rmtree(root)


if __name__ == "__main__":
    main()
