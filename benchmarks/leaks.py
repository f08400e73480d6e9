"""The leak check: what it finds at several limits on real slices, and how long it takes for many.

    python benchmarks/leaks.py --real FOLDER     FOLDER holds covid-semiseg, zenodo20-slices and lung-volumes
    python benchmarks/leaks.py --slices 100000   generated slices, 100 a scan, all compared with all

Truth on real slices is the patient's name: those of COVID-SemiSeg's unlabelled slices and of zenodo20-slices are known.
Its labelled slices have no names; pairs among them or with others count as of different patients and are listed.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from scipy.ndimage import gaussian_filter

from covidseg import schema
from covidseg.data import canonical, importers
from covidseg.data.splits import Split
from covidseg.leaks import alike, find
from covidseg.leaks.alike import Item, Pictures
from covidseg.lungs import write_masks

LIMITS = (0.60, 0.65, 0.70, 0.73, 0.76, 0.79, 0.82, 0.85, 0.90)
PER_SCAN, FOLDS = 100, 5
COMMON = 0.6  # of a generated slice is what all have in common, chosen so that as many pairs agree as of real ones


def main() -> None:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--real", type=Path, help="folder of the real data")
    parser.add_argument("--slices", type=int, nargs="*", default=[], help="how many generated slices")
    asked = parser.parse_args()
    if asked.real:
        limits(asked.real)
    for count in asked.slices:
        many(count)


# ---- limits


def limits(root: Path) -> None:
    """Print how many pairs of slices each limit names, and how many of these are of different patients."""
    found = [real(root / name, name) for name in ("covid-semiseg", "zenodo20-slices")]
    slices = found[0] + found[1] + volumes(root / "lung-volumes")
    patients = np.array([item.patient for item in slices.items])
    i, j, r = alike.pairs(slices, slices)
    other = patients[i] != patients[j]
    named = np.array([item.role == "unlabelled" for item in slices.items])  # of COVID-SemiSeg: names are known
    print(f"{len(slices.items)} slices; {named.sum()} of COVID-SemiSeg have a neighbour in their volume")
    print("| limit | pairs of one patient | of others | precision | slices of COVID-SemiSeg with a found neighbour |")
    print("|---|---|---|---|---|")
    for limit in LIMITS:
        far = (r >= limit) & (i < j)
        with_one = np.unique(j[(r >= limit) & ~other & named[j] & named[i]])
        false, true = int((far & other).sum()), int((far & ~other).sum())
        share = 100 * len(with_one) / named.sum()
        print(f"| {limit:.2f} | {true} | {false} | {true / max(true + false, 1):.4f} | {share:.0f} % |")
    others = np.flatnonzero(other & (i < j))
    for k in others[np.argsort(-r[others])][:12]:
        print(f"  other names: {slices.items[i[k]].slice} and {slices.items[j[k]].slice}, {r[k]:.3f}")


def real(folder: Path, name: str) -> Pictures:
    """Return the slices of a data set as the check reads them."""
    data = schema.load(schema.Dataset, Path(f"workflow/datasets/{name}.yaml"))
    with tempfile.TemporaryDirectory() as out:
        canonical.write(importers.cases(folder, data), data, Path(out))
        write_masks(Path(out), Path(out, "lungs.h5"), "labels" if data.lungs == "labels" else "none", None)
        return alike.read(name, data, Path(out))


def volumes(folder: Path) -> Pictures:
    """Return the slices of whole, uncropped scans of other bodies."""
    from covidseg.data.importers.read import nifti

    items, hashes, pictures = [], [], []
    for path in sorted(folder.glob("*_ct_*.nii.gz")):
        image = canonical.to_8bit(nifti(path).array, (-1250, 250), str(path))
        small = [alike._shrunk(slice_, None) for slice_ in image]
        items += [Item("volumes", f"{path.name}/{k}", path.name, path.name, "train") for k in range(len(image))]
        hashes.append(alike.hashes_of(np.stack([first for first, _ in small])))
        pictures.append(alike.pictures_of(np.stack([second for _, second in small])))
    return Pictures(items, np.concatenate(hashes), np.concatenate(pictures))


# ---- many slices


def many(count: int) -> None:
    """Print the time and memory of the search for generated slices, and how many pairs came how far."""
    slices, made = generated(count)
    cases = list(dict.fromkeys(item.case for item in slices.items))
    table: Any = {
        k: {"train": [c for n, c in enumerate(cases) if n % FOLDS != k], "val": [], "test": cases[k::FOLDS]}
        for k in range(FOLDS)
    }
    wall, cpu = time.monotonic(), time.process_time()
    found = find("many", slices, Split(Path("many"), table))
    copies = {(leak.train, leak.test) for leak in found if leak.kind == "slice"}
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{count} slices: {time.monotonic() - wall:.1f} s, {time.process_time() - cpu:.1f} s of the processor, "
        f"{memory:.0f} MiB; generated in {made:.1f} s; {len(copies)} near-duplicates named"
    )


def generated(count: int) -> tuple[Pictures, float]:
    """Return slices of scans with a texture each that changes along the scan, and one scan in fifty copied."""
    start = time.process_time()
    random = np.random.default_rng(0)
    common = gaussian_filter(random.standard_normal((8, 32, 32)), (0, 2, 2))
    items: list[Item] = []
    pictures, hashes = [], []
    texture = np.zeros((PER_SCAN, 32, 32))
    for scan in range(-(-count // PER_SCAN)):
        if scan % 50 == 49:
            texture = texture + 0.05 * random.standard_normal(texture.shape)
        else:
            texture = gaussian_filter(random.standard_normal((PER_SCAN, 32, 32)), (4, 1, 1))
            texture /= texture.std()
            modes = np.tensordot(random.standard_normal(8) + 1, common, 1)
            texture += COMMON * modes / modes.std()
        small = (128 + 40 * texture).clip(0, 255).astype(np.uint8)
        pictures.append(alike.pictures_of(small))
        hashes.append(alike.hashes_of(small[:, 2:32:4, 1:28:3]))
        items += [Item("many", f"{scan}/{k}", str(scan), str(scan), "train") for k in range(PER_SCAN)]
    whole = Pictures(items, np.concatenate(hashes), np.concatenate(pictures))
    return whole.of(range(count)), time.process_time() - start


if __name__ == "__main__":
    main()
