"""Settings that a training must not ignore."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from covidseg import schema
from covidseg.jobs import record
from covidseg.train import rounds, stage
from covidseg.train.methods import self_training
from covidseg.train.optimizer import FlatParameters, Optimizer
from covidseg.train.predict import load_model
from covidseg.train.pseudo import read_labels
from tests.unit.train import blobs


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return blobs.make(tmp_path_factory.mktemp("blobs") / "data")


@pytest.mark.parametrize("warm", [True, False])
def test_a_warm_start_goes_on_from_the_last_model(warm: bool, data: Path, tmp_path: Path) -> None:
    """With a learning rate near zero a model stays where it starts."""
    settings = {"method": "self_training", "pool": {"dataset": "pool"}, "rounds": 1, "warm_start": warm}
    settings |= {"epochs": 1, "batch": 8, "optimizer": {"name": "sgd", "lr": 1e-12}}
    job = replace(blobs.job(data, tmp_path, train=settings), pool=data, pool_values=(1,))
    job = replace(job, pool=blobs.make(tmp_path / "pool"))
    weights = []
    for name in job.spec.stages:
        facts = stage(job, name, blobs.quiet)
        record.write(self_training.folder(job.out, name) / "stage.json", spec_hash="", **facts)
        if name.startswith("round"):
            model = load_model(self_training.folder(job.out, name), job.spec)
            weights.append(torch.cat([parameter.detach().flatten() for parameter in model.parameters()]))
    assert torch.allclose(weights[0], weights[1], atol=1e-6) == warm
    labelled = read_labels(self_training.folder(job.out, "labels1") / "labels.h5")[0]
    pool, none = np.arange(36), np.zeros(0, np.int64)
    own, first = (replace(job, stream=stream) for stream in ((1, self_training.LABELS), ()))
    assert labelled.tolist() == rounds.draw(pool, none, 0.2, own.random(-1)).tolist()
    assert labelled.tolist() != rounds.draw(pool, none, 0.2, first.random(0)).tolist()


def test_a_labelling_draws_from_a_stream_of_its_own(data: Path, tmp_path: Path) -> None:
    """The draw of round n must not be that of an epoch of the first training, which has the same seed and fold."""
    job = blobs.job(data, tmp_path)
    labels = [replace(job, stream=(number, self_training.LABELS)).random(-1).integers(2**60) for number in (1, 2, 3)]
    epochs = [job.random(epoch).integers(2**60) for epoch in range(-1, 6)]
    later = [replace(job, stream=(n,)).random(epoch).integers(2**60) for n in (1, 2, 3) for epoch in range(-1, 6)]
    assert len({*labels, *epochs, *later}) == 3 + 7 + 21


def test_an_optimizer_that_is_recreated_forgets_its_moments() -> None:
    def steps(recreate: bool) -> torch.Tensor:
        torch.manual_seed(0)
        net = nn.Linear(3, 1)
        optimizer = Optimizer(FlatParameters(net), schema.Optimizer(lr=0.1, recreate=recreate))
        for epoch in range(2):
            if epoch and optimizer.restarts(epoch):
                optimizer.reset()
            net(torch.ones(2, 3) * (1 + epoch)).square().mean().backward()
            optimizer.step(epoch)
        return net.weight.detach().clone()

    assert not torch.equal(steps(True), steps(False))
