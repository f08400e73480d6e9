"""The device of a job, set up for speed and, on a CPU, for reproducible bytes."""

from __future__ import annotations

import ctypes
import sys
from typing import Any

import torch
import torch.utils.deterministic
from torch import nn

from covidseg.base.errors import UserError
from covidseg.schema.base import Precision

_bfloat16: dict[str, bool] = {}  # by type of device

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4  # malloc.h


def prepare(name: str, threads: int, precision: Precision = "auto") -> torch.device:
    """Return the device of ``auto``, ``cpu`` or ``cuda`` after setting torch up for it.

    On a CPU: deterministic algorithms, ``threads`` threads. On CUDA: the fastest kernels; results then differ in the
    last digits from run to run. ``precision`` is that of ``autocast`` in this process from now on; ``auto`` is float32
    on a CPU and bfloat16 on CUDA. Raises UserError when CUDA is asked for and not there.
    """
    if name == "cuda" and not torch.cuda.is_available():
        raise UserError("device: cuda is not available here; set device: auto or cpu in config.yaml")
    device = torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")
    torch.set_num_threads(threads)
    _bfloat16[device.type] = precision == "bfloat16" or (precision == "auto" and device.type == "cuda")
    if device.type == "cpu":
        torch.set_deterministic_debug_mode("error")  # use_deterministic_algorithms imports the compiler: 0.9 s
        # The filling of new memory is a debugging aid that costs time.
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
        _keep_freed_memory()
    else:
        torch.backends.cudnn.benchmark = True
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    return device


def processor() -> dict[str, Any]:
    """Return what results on a CPU depend on: the widest vector instructions that torch uses, and the threads."""
    return {"capability": torch.backends.cpu.get_cpu_capability(), "threads": torch.get_num_threads()}


def peak_gpu_memory_mb() -> int:
    """Return the most memory in MiB that torch held on GPUs in this process; 0 on a CPU."""
    if not torch.cuda.is_initialized():
        return 0
    return max(torch.cuda.max_memory_reserved(k) for k in range(torch.cuda.device_count())) >> 20


def place(model: nn.Module, device: torch.device) -> nn.Module:
    """Return the model on a device, its convolutions with channels last, which is faster on both kinds."""
    return model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


def autocast(device: torch.device) -> torch.autocast:
    """Return the context of a forward pass, in the precision that ``prepare`` was given.

    In bfloat16 convolutions and matrix products are computed from bfloat16 values; weights, sums over pixels in the
    losses and the optimizer stay float32.
    """
    return torch.autocast(device.type, torch.bfloat16, enabled=_bfloat16.get(device.type, False))


def arithmetic(device: torch.device) -> list[str]:
    """Return notes on the arithmetic of this process; none for float32 on a CPU."""
    lower = ["bfloat16 autocast"] if _bfloat16.get(device.type) else []
    return [*lower, *(["cuda: not repeatable to the last digit"] if device.type == "cuda" else [])]


def _keep_freed_memory() -> None:
    """Let glibc keep freed blocks: a step frees and asks again for the same large ones, and each new page costs."""
    if sys.platform == "linux":
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
        for option, value in ((_M_MMAP_MAX, 0), (_M_TRIM_THRESHOLD, 2**31 - 1), (_M_TOP_PAD, 16 << 20)):
            if mallopt:
                mallopt(option, value)
