"""A device is set up before anything runs on it."""

import torch

from covidseg.train.device import arithmetic, prepare


def test_a_cpu_is_set_up_for_the_same_bytes_each_time() -> None:
    torch.set_deterministic_debug_mode("default")
    torch.utils.deterministic.fill_uninitialized_memory = True  # type: ignore[attr-defined]
    device = prepare("cpu", 2)
    assert (device.type, torch.get_num_threads(), torch.get_deterministic_debug_mode()) == ("cpu", 2, 2)
    assert torch.utils.deterministic.fill_uninitialized_memory is False  # type: ignore[attr-defined]
    assert arithmetic(device) == []
    assert arithmetic(prepare("cpu", 1, "bfloat16")) == ["bfloat16 autocast"]
    assert torch.get_num_threads() == 1
    prepare("cpu", 1)
