"""A device is set up before anything runs on it."""

import platform
import subprocess
import sys

import pytest
import torch

from covidseg.train import device
from covidseg.train.device import arithmetic, peak_gpu_memory_mb, prepare

FAULTS = """\
import resource, torch
from covidseg.train.device import prepare
def faults() -> int:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(16 << 20)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
prepare("cpu", 1)
print(*(faults() for _ in range(16)))
"""


def test_a_cpu_is_set_up_for_the_same_bytes_each_time() -> None:
    torch.set_deterministic_debug_mode("default")
    torch.utils.deterministic.fill_uninitialized_memory = True  # type: ignore[attr-defined]
    found = prepare("cpu", 2)
    assert (found.type, torch.get_num_threads(), torch.get_deterministic_debug_mode()) == ("cpu", 2, 2)
    assert torch.utils.deterministic.fill_uninitialized_memory is False  # type: ignore[attr-defined]
    assert arithmetic(found) == []
    assert arithmetic(prepare("cpu", 1, "bfloat16")) == ["bfloat16 autocast"]
    assert torch.get_num_threads() == 1
    prepare("cpu", 1)


def test_auto_is_a_gpu_where_there_is_one() -> None:
    assert prepare("auto", 1).type == ("cuda" if torch.cuda.is_available() else "cpu")
    prepare("cpu", 1)


def test_nothing_is_rounded_before_a_device_is_set_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "_bfloat16", {})
    with device.autocast(torch.device("cpu")):
        assert torch.mm(torch.ones(2, 2), torch.ones(2, 2)).dtype == torch.float32


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc's allocator is told to keep freed memory")
def test_freed_memory_is_used_again() -> None:
    """64 MiB, freed and asked for again, 15 times, are fetched from the system a few times only, page by page."""
    said = subprocess.run([sys.executable, "-c", FAULTS], check=True, capture_output=True, text=True).stdout
    first, *others = map(int, said.split())
    assert first > 20  # pages of 2 MiB; 16,384 of 4 KiB
    assert sum(others) <= 4 * first  # as the heap grows; else each time


def test_the_memory_of_gpus_is_that_of_the_fullest_in_mib(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two GPUs as CUDA would tell; this test also runs where there is none."""
    assert peak_gpu_memory_mb() == 0
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "max_memory_reserved", lambda k: (700 << 20, 300 << 20)[k])
    assert peak_gpu_memory_mb() == 700
