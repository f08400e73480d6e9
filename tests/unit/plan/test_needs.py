"""What jobs ask for, against what the networks really keep."""

from __future__ import annotations

import pytest

from covidseg import nets
from covidseg.jobs import leases
from covidseg.plan import Plan
from covidseg.plan.needs import JobNeeds, Needs, training_memory, training_minutes

SIDE, WIDTH = 64, 0.25
OPTIONS = {
    "dynunet": {"levels": 5},
    "deeplabv3": {"output_stride": 8},
    "deeplabv3plus": {"output_stride": 8},
    "fcn8s": {"norm": "batch"},
    "nestedunet": {"attention": "residual"},
} | {name: {"init": "random"} for name in ("classifier", "icd", "irn", "seam")}


def kept(name: str, slices: int) -> tuple[int, int]:
    """Return the bytes of a network's parameters, and of what its forward pass keeps for the backward one."""
    import torch
    from torch._subclasses.fake_tensor import FakeTensorMode

    storages = {}
    with FakeTensorMode():
        net = nets.build({"name": name, "width": WIDTH, **OPTIONS.get(name, {})}, 2, 1).train()
        parameters = {p.untyped_storage()._cdata: p.nbytes for p in net.parameters()}

        def keep(tensor: torch.Tensor) -> torch.Tensor:
            storages[tensor.untyped_storage()._cdata] = tensor.untyped_storage()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            net(torch.zeros(slices, 2, SIDE, SIDE))
    return sum(parameters.values()), sum(s.nbytes() for key, s in storages.items() if key not in parameters)


@pytest.mark.parametrize("name", nets.NETS.names)
def test_what_a_network_declares_is_counted(name: str) -> None:
    declared = nets.planning(name)
    parameters, both = kept(name, 3)
    per_slice = both - kept(name, 2)[1]
    assert per_slice / SIDE**2 / WIDTH == pytest.approx(declared["kept_bytes"], rel=0.1)
    if name != "dynunet":  # whose weights are those of 8 levels
        assert parameters / WIDTH**2 / 2**20 == pytest.approx(declared["weights_mib"], rel=0.03)


def test_memory_asked_by_hand() -> None:
    plan = Plan.load({"mode": "paper", "preset": "full"})
    spec = plan.run("ssanet/m4").spec
    # 119 MiB of weights 8.5 times; 2 slices of 512 x 512 at 1,300 bytes a pixel: 650 MiB
    assert training_memory(spec) == round(300 + 1.3 * (350 + 1011.5 + 1.3 * 650))
    assert training_memory(spec, gpu=True) == round(300 + 1.3 * (4500 + 1011.5))
    size = spec.input.model_copy(update={"size": 128})
    small = spec.model_copy(update={"net": {"name": "unet", "width": 0.5}, "input": size})
    # Predicting 32 slices at once takes more than learning 2: 2 ** 19 pixels at 1,410 / 2 bytes
    assert training_memory(small) == round(300 + 1.3 * (350 + 250.75 + 1.3 * 352.5))


def test_one_job_for_all_stages_has_the_time_of_all() -> None:
    """S4 under tiny: two rounds after the first, so round0, labels1, round1, labels2, round2 and the last job."""
    plan = Plan.load({})
    spec = plan.run("ssanet/s4").spec
    one = plan.needs.training(spec)
    assert plan.needs.training(spec, stage_jobs=False).minutes == 6 * one.minutes
    assert plan.needs.training(spec, stage_jobs=False).memory_mb == one.memory_mb


def test_minutes_asked_by_hand() -> None:
    spec = Plan.load({"mode": "paper", "preset": "full"}).run("ssanet/m4").spec
    # 150 epochs at full width of slices 64 times as large as 64 x 64, an eighth of a minute each
    assert training_minutes(spec) == 30 + 150 * 64 / 8
    scales = spec.train.model_copy(update={"scales": (0.75, 1.25), "epochs": 10})
    half = {"train": scales, "net": {"name": "unet", "width": 0.5}}
    assert training_minutes(spec.model_copy(update=half)) == 30 + 10 * (36 + 100) * 0.5 / 8


@pytest.mark.parametrize("gpus", [0, 1])
def test_a_gpu_is_asked_for_where_there_is_one_and_a_network(gpus: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "gpus", lambda device: gpus if device == "auto" else -1)
    spec = Plan.load({"mode": "paper", "preset": "full"}).run("ssanet/m4").spec
    asked = JobNeeds("auto").training(spec)
    assert asked == Needs(training_memory(spec, gpu=bool(gpus)), 30 + 150 * 8, gpus, spec.threads)
    assert JobNeeds("auto").masks(spec) == Needs(2000 + asked.memory_mb, 1440, gpus, spec.threads)
    without = spec.model_copy(update={"net": {}})
    assert JobNeeds("auto").training(without).gpus == 0
    assert JobNeeds("auto").training(without).memory_mb == 300 + 1.3 * 350
