"""Median milliseconds a slice of every protocol, beside the public references where they can be imported.

    OMP_NUM_THREADS=1 python benchmarks/metrics.py [REAL]

REAL is a folder with covid-semiseg and infnet-released-predictions (see workflow/datasets); without it only generated
512 x 512 slices are scored. The references, of which none is a dependency: pip install surface-distance medpy
pysodmetrics hausdorff numba, in an environment of their own with numpy, scipy, pillow, pydantic and pyyaml, and this
repository's src on PYTHONPATH.
"""

from __future__ import annotations

import importlib
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from covidseg import schema
from covidseg.base.images import read_pairs
from covidseg.evaluate.score import Slice, score_slices
from covidseg.metrics.overlap import binarise
from covidseg.metrics.rowset import rowset_hausdorff
from covidseg.metrics.surface import contour_distances, robust_hausdorff, surface_dice

PROTOCOLS = Path(__file__).parents[1] / "workflow" / "protocols"
NAN = float("nan")


def generated(count: int = 24, size: int = 512) -> list[Slice]:
    """Return slices with fuzzy lesions, 3 to 12 % of the image, and maps that miss them by some pixels."""
    rng = np.random.default_rng(0)
    fy, fx = np.meshgrid(np.fft.fftfreq(size), np.fft.rfftfreq(size), indexing="ij")

    def field(width: float) -> np.ndarray:
        smooth = np.exp(-2 * (np.pi * width) ** 2 * (fy**2 + fx**2))
        noise = np.fft.irfft2(np.fft.rfft2(rng.normal(size=(size, size))) * smooth, s=(size, size))
        return np.asarray(noise / noise.std())

    slices = []
    for k, share in enumerate(np.linspace(0.03, 0.12, count)):
        lesion = field(20)
        cut = np.quantile(lesion, 1 - share)
        prob = 1 / (1 + np.exp(-4 * (lesion + 0.3 * field(12) - cut)))
        slices.append(Slice("x", f"x/{k:03d}", k, "lesion", np.uint8(255 * prob), lesion > cut, (NAN, 0.7, 0.7)))
    return slices


def real(folder: Path) -> list[Slice]:
    """Return the 48 test slices of COVID-SemiSeg with Inf-Net's released maps."""
    truth = folder / "covid-semiseg/TestingSet/LungInfection-Test/GT"
    pairs = read_pairs(truth, folder / "infnet-released-predictions/Inf-Net")
    return [Slice(n, n, 0, "lesion", p.values[0], t.values[0], (NAN, NAN, NAN)) for n, _, t, p in pairs]


def median_ms(call: Callable[[Slice], object], slices: list[Slice]) -> float:
    call(slices[0])
    times = []
    for s in slices:
        start = time.perf_counter()
        call(s)
        times.append(1000 * (time.perf_counter() - start))
    return statistics.median(times)


def ours() -> dict[str, Callable[[Slice], object]]:
    def hd_nsd(s: Slice) -> tuple[float, float]:
        d = contour_distances(s.truth, binarise(s.prob, 0.5), (0.7, 0.7))
        return robust_hausdorff(d, 0), surface_dice(d, 3)

    def protocol(path: Path) -> Callable[[Slice], object]:
        found = schema.load(schema.Protocol, path)
        return lambda s: score_slices(found, [s])

    whole = {f"protocol {path.stem}": protocol(path) for path in sorted(PROTOCOLS.glob("*.yaml"))}
    return {**whole, "HD95 + NSD": hd_nsd, "row set": lambda s: rowset_hausdorff(s.truth, binarise(s.prob, 0.5))}


def references() -> dict[str, Callable[[Slice], object]]:
    """Return the public packages' versions of the same, as far as they are installed."""
    found: dict[str, Callable[[Slice], object]] = {}

    def add(module: str, label: str, make: Callable[[object], Callable[[Slice], object]]) -> None:
        try:
            found[f"{label} ({module.split('.')[0]})"] = make(importlib.import_module(module))
        except ImportError:
            print(f"{module}: not installed")

    def distances(m) -> Callable[[Slice], object]:
        def call(s: Slice) -> object:
            d = m.compute_surface_distances(s.truth, s.prob >= 128, (0.7, 0.7))
            return m.compute_robust_hausdorff(d, 95), m.compute_surface_dice_at_tolerance(d, 3)

        return call

    def saliency(m) -> Callable[[Slice], object]:
        def call(s: Slice) -> object:
            for measure in (m.Smeasure(), m.Emeasure(), m.MAE(), m.Fmeasure()):
                measure.step(s.prob, np.uint8(255 * s.truth))
            return None

        return call

    def rows(m) -> Callable[[Slice], object]:
        return lambda s: m.hausdorff_distance(s.truth * 1.0, (s.prob >= 128) * 1.0, distance="euclidean")

    add("surface_distance.metrics", "HD95 + NSD", distances)
    add("medpy.metric.binary", "HD95", lambda m: lambda s: m.hd95(s.prob >= 128, s.truth, (0.7, 0.7)))  # type: ignore[attr-defined]
    add("py_sod_metrics", "S, E, MAE, F", saliency)
    add("hausdorff", "row set", rows)
    return found


if __name__ == "__main__":
    sets = {"generated, 512 x 512": generated()}
    if len(sys.argv) > 1:
        sets["Inf-Net on COVID-SemiSeg"] = real(Path(sys.argv[1]))
    calls = {**ours(), **references()}
    for title, slices in sets.items():
        print(f"{title}: {len(slices)} slices, median ms a slice")
        for label, call in calls.items():
            print(f"  {label:40s} {median_ms(call, slices):8.2f}")
