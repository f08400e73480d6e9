"""Which processor a job may use, decided without importing torch."""

from __future__ import annotations

import os
from pathlib import Path


def has_gpu() -> bool:
    """Return whether this machine shows an NVIDIA device that is not hidden from us."""
    return Path("/dev/nvidiactl").exists() and os.environ.get("CUDA_VISIBLE_DEVICES") not in ("", "-1")


def asks_for_gpu(device: str) -> bool:
    """Return whether training jobs ask for a GPU: when told to, or when there is one here."""
    return device == "cuda" or (device == "auto" and has_gpu())


def gpus(device: str) -> int:
    """Return the GPUs that one training job asks for: none on a machine without, so that no job waits for one."""
    return int(asks_for_gpu(device))
