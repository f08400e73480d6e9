"""What a job asks for: memory, time, GPUs and threads of its first attempt. Nothing here decides a result.

Asks follow from a run's network, width, image size, batch, scales and epochs, so that they are known before any data
are there. The report shows them beside what was used.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace

from covidseg import nets
from covidseg.jobs import leases
from covidseg.schema import RunSpec

MIB = 1 << 20
# Measured: the demo's trainings, three on real slices at 128 pixels, and a few batches of U-Net, SSA-Net, FCN8s and
# Inf-Net at 256 to 512 took 0.7 to 1.2 of what is expected here. What torch takes of the machine beside a GPU was not.
LIBRARIES, CUDA = 350, 4500  # MiB of Python with torch, and of torch that uses a GPU
COPIES = 8.5  # of the weights: values, gradients, Adam's two moments, the best epoch's, and what is made on the way
LOOSE = 1.3  # of activations, for what the allocator keeps
EVALUATED = 1 << 19  # pixels that go through a network at once without gradients, and at most so many slices:
AT_ONCE = 64
BESIDE = 300  # MiB of Snakemake, which runs beside the step in a batch system's job
SPARE = 1.3


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
    width, size = spec.net.get("width", 1.0), spec.input.size
    libraries, weights, activations = (CUDA if gpu else LIBRARIES), 0.0, 0.0
    net = nets.planning(spec.net["name"]) if spec.net else None
    if net:
        weights = net["weights_mib"]
    if net and not gpu:
        batch = max(getattr(spec.train, key) for key in spec.train.BATCHES)
        learned = batch * (size * max(spec.train.scales)) ** 2 * net["kept_bytes"]
        predicted = min(AT_ONCE, max(1, EVALUATED // size**2)) * size**2 * net["forward_bytes"]
        activations = LOOSE * max(learned, predicted) * width / MIB
    return round(BESIDE + SPARE * (libraries + COPIES * weights * width**2 + activations))


def training_minutes(spec: RunSpec) -> int:
    """Return a generous run time in minutes of a training's longest job, by epochs, size and width."""
    pixels = sum((scale * spec.input.size / 64) ** 2 for scale in spec.train.scales)
    return 30 + round(spec.train.most_epochs * pixels * spec.net.get("width", 1.0) / 8)


class JobNeeds:
    """What the jobs of runs ask for, on a device as ``config.yaml`` names it."""

    def __init__(self, device: str) -> None:
        self._device = device

    @functools.cached_property
    def _gpus(self) -> int:
        return leases.gpus(self._device)

    def training(self, spec: RunSpec) -> Needs:
        """Return what each job of a training asks for, be it a stage or the last; without a network no GPU."""
        gpus = self._gpus if spec.net else 0
        return Needs(training_memory(spec, gpu=gpus > 0), training_minutes(spec), gpus, spec.threads)

    def masks(self, spec: RunSpec) -> Needs:
        """Return what the masks of a run's whole scans ask for: a scan and its maps come on top, and a day."""
        needs = self.training(spec)
        return replace(needs, memory_mb=2000 + needs.memory_mb, minutes=1440)
