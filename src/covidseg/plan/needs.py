"""What a job asks for: memory, time, GPUs and threads of its first attempt. Nothing here decides a result.

Asks follow from a run's network, width, image size, batch, scales and epochs, so that they are known before any data
are there. The report shows them beside what was used.
"""

from __future__ import annotations

from dataclasses import dataclass

from covidseg.schema import RunSpec

# Network -> MiB of its weights, and bytes per pixel of what its forward pass keeps for the backward one, both of one
# float32 slice at width 1: counted on torch's fake tensors, which a test repeats. Weights grow with width squared,
# the rest with width. A network that is not here counts as the hungriest of them.
NETWORKS = {
    "deeplabv3plus": (102, 5000),
    "dynunet": (177, 2600),
    "fcn8s": (512, 1900),
    "infnet": (119, 2850),
    "ssanet": (119, 1300),
    "unet": (118, 5300),
    "unetplusplus": (35, 8750),
}
HUNGRIEST = (max(w for w, _ in NETWORKS.values()), max(a for _, a in NETWORKS.values()))
MIB = 1 << 20
COPIES = 7  # of the weights: values, gradients, Adam's two moments, the best epoch's, the next best's, the state's
LIBRARIES, CUDA = 400, 4500  # MiB of Python with torch, and of torch that uses a GPU
BESIDE = 300  # MiB of Snakemake, which runs beside the step in a batch system's job
SPARE = 1.35  # over what was measured


@dataclass(frozen=True)
class Needs:
    """What one job's first attempt asks for: memory in MiB, run time in minutes, GPUs, threads."""

    memory_mb: int
    minutes: int
    gpus: int
    threads: int


def training_memory(spec: RunSpec, gpu: bool = False) -> int:
    """Return the memory in MiB of one of a training's jobs; with a ``gpu`` the machine's, which holds no activations.

    Every job of a method asks for the same: that of its largest batch at its largest scale.
    """
    weights, kept = NETWORKS.get(spec.net.get("name", ""), HUNGRIEST) if spec.net else (0, 0)
    width = spec.net.get("width", 1.0)
    copies = COPIES * weights * width**2
    if gpu:
        return round(BESIDE + SPARE * (CUDA + copies))
    pixels = (
        max(getattr(spec.train, key) for key in spec.train.BATCHES) * (spec.input.size * max(spec.train.scales)) ** 2
    )
    return round(BESIDE + SPARE * (LIBRARIES + copies + pixels * width * kept / MIB))


def training_minutes(spec: RunSpec) -> int:
    """Return a generous run time in minutes of a training's longest job, by epochs, size and width."""
    pixels = sum((scale * spec.input.size / 64) ** 2 for scale in spec.train.scales)
    return 30 + round(spec.train.most_epochs * pixels * spec.net.get("width", 1.0) / 8)
