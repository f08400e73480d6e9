"""CPU milliseconds of counting the regions of one slice (truth and prediction), median of nine, beside their limits.

OMP_NUM_THREADS=1 python benchmarks/regions.py
"""

from __future__ import annotations

import statistics
import time
import tracemalloc

import numpy as np
from numpy.typing import NDArray

from covidseg.metrics.regions import count_regions

Mask = NDArray[np.bool_]


def blobs(count: int, radius: float, seed: int, size: int = 512) -> Mask:
    """Return ``count`` ellipses on a grid that do not touch."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:size, :size]
    side = int(np.ceil(np.sqrt(count)))
    mask = np.zeros((size, size), bool)
    for k in range(count):
        row, column = ((n + 0.5) * size / side for n in divmod(k, side))
        high, wide = random.uniform(0.4, 1, 2) * radius
        mask |= ((y - row) / high) ** 2 + ((x - column) / wide) ** 2 <= 1
    return mask


def specks(side: int) -> Mask:
    """Return a grid of single pixels, (side / 2) ** 2 regions."""
    mask = np.zeros((side, side), bool)
    mask[::2, ::2] = True
    return mask


def main() -> None:
    """Print a line per kind of slice."""
    whole = np.ones((512, 512), bool)
    kinds = {
        "20 regions (limit 5 ms)": (blobs(20, 45, 1), blobs(20, 45, 2)),
        "1,000 regions (limit 50 ms)": (blobs(1000, 7, 1), blobs(1000, 7, 2)),
        "the whole slice (limit 20 ms)": (whole, whole),
        "102,400 specks of 640x640": (specks(640), specks(640)),
    }
    for name, pair in kinds.items():
        seconds = []
        for _ in range(9):
            begin = time.process_time()
            count_regions(*pair)
            seconds.append(time.process_time() - begin)
        tracemalloc.start()
        count_regions(*pair)
        peak = tracemalloc.get_traced_memory()[1] / 2**20
        tracemalloc.stop()
        print(f"{name}: {1000 * statistics.median(seconds):.1f} ms, at most {peak:.0f} MiB")


if __name__ == "__main__":
    main()
