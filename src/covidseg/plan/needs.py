"""Resources that a job requests: memory, time, GPUs and threads of its first attempt. They change no result.

They are estimated from a run's network, width, image size, batch, scales and epochs, so that they are known before the
data are. The report shows what was requested beside what was used.
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
    """The resources of a job's first attempt: memory in MiB, run time in minutes, GPUs, threads."""

    memory_mb: int
    minutes: int
    gpus: int
    threads: int


def training_memory(spec: RunSpec, gpu: bool = False) -> int:
    """Return the main memory in MiB of one job of a training; with a ``gpu`` it holds no activations.

    Every job of a training method requests the same amount, that of the largest batch at the largest scale.
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
    """The resources that the jobs of runs request, on the device that ``config.yaml`` names."""

    def __init__(self, device: str) -> None:
        self._device = device

    @functools.cached_property
    def _gpus(self) -> int:
        return leases.gpus(self._device)

    def training(self, spec: RunSpec, stage_jobs: bool = True) -> Needs:
        """Return the resources of each job of a training, a stage or the last one; no GPU without a network.

        ``stage_jobs``: whether stages are jobs of their own; else one job has the time of all.
        """
        gpus = self._gpus if spec.net else 0
        minutes = training_minutes(spec) * (1 if stage_jobs else 1 + len(spec.stages))
        return Needs(training_memory(spec, gpu=gpus > 0), minutes, gpus, spec.threads)

    def masks(self, spec: RunSpec) -> Needs:
        """Return the resources for predicting whole scans: memory for a scan and its maps, and a day."""
        needs = self.training(spec)
        return replace(needs, memory_mb=2000 + needs.memory_mb, minutes=1440)
