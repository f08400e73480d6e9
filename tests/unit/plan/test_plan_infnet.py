"""Inf-Net's paper file: described and released, where encoders start, and runs of maps that others released."""

from __future__ import annotations

from typing import Any

import pytest

from covidseg.base.errors import UserError
from covidseg.plan import Plan
from covidseg.schema import Training

REAL = {"mode": "paper", "papers": ["infnet"]}


def load(**config: Any) -> Plan:
    return Plan.load({**REAL, **config})


def test_described_and_released() -> None:
    plan = load()
    spec, released = (plan.run(f"infnet/{name}").spec for name in ("infnet", "infnet-released"))
    assert (spec.input.size, spec.input.channels, spec.train.scales) == (352, 1, (0.75, 1.0, 1.25))
    assert (spec.split, spec.train.epochs, spec.train.batch) == ("infnet-45-5-48", 100, 16)
    assert (released.split, released.train.epochs, released.train.batch) == ("infnet-50-48", 99, 24)
    assert [s.train.optimizer.collapse for s in (spec, released)] == [False, True]
    assert [s.losses["structure"]["bce"] for s in (spec, released)] == ["described", "released"]
    assert plan.resolver.caveats(plan.run("infnet/infnet")) == []


def test_semi_infnets_first_model_is_trained_as_infnet() -> None:
    """Section III-E: Inf-Net's training is that of the second step, in batches of 16; pseudo labels come in 24s."""
    infnet, semi = (load().run(f"infnet/{name}").spec.train for name in ("infnet", "semi-infnet"))
    first, plain = (train.model_dump(include={*Training.model_fields}) for train in (semi.on_labelled, infnet))
    assert first == plain
    assert (semi.batch, semi.on_labelled.batch) == (24, 16)


def test_an_encoder_starts_at_random_where_published_weights_cannot_be_its() -> None:
    said = "encoder starts from random weights instead of ImageNet's"
    for config in ({"init": "random"}, {"preset": "cpu"}, {"mode": "demo"}):
        plan = load(**config)
        run = plan.run("infnet/infnet")
        assert run.spec.net["init"] == "random"
        assert said in plan.resolver.caveats(run)
    assert "init" not in load(init="random").run("infnet/unet").spec.net


def test_published_weights_take_a_picture() -> None:
    plan = load()
    plan.papers["infnet"].runs["other"] = {"input": {"mode": "slice+lung"}}
    with pytest.raises(UserError, match=r"runs\.other\.net\.init: ImageNet weights need one channel; set input\.mode"):
        plan.run("infnet/other")


def test_others_maps_have_no_network_and_stay_as_they_are() -> None:
    plan = load(preset="cpu", seeds=[3, 4])
    run = plan.run("infnet/released-unet")
    assert (run.spec.maps, run.spec.net, run.spec.losses) == ("infnet-released-predictions", {}, {})
    assert (run.spec.input.size, run.scaled, run.jobs) == (128, (), [(0, 3)])
    assert plan.resolver.caveats(run) == []
    assert "infnet-released-predictions" in plan.graph.all_datasets()


def test_phantoms_have_no_maps_of_others() -> None:
    plan = load(mode="demo", only=["infnet/infnet", "infnet/released-infnet"])
    assert plan.targets.runs() == ["infnet/infnet"]
    assert "infnet-released-predictions" not in plan.graph.all_datasets()
    assert not any(run.startswith("infnet/released-") for run in load(mode="demo").graph.all_runs())


@pytest.mark.parametrize(
    ("own", "message"),
    [
        ({"folders": {"infection": "UNett"}}, "train.folders: unknown name 'UNett'; did you mean 'UNet'?"),
        ({"folders": {"ggo": "UNet"}}, "train.folders: unknown name 'ggo'; legal: infection"),
        ({"folders": {}}, "train.folders: infection: missing; name the folder of its maps"),
        ({"maps": "infnet-released", "folders": {}}, "unknown data set 'infnet-released'"),
        ({"folders": {}, "epochs": 9}, "runs.other: train.epochs: input should be less than or equal to 0"),
    ],
)
def test_wrong_maps(own: dict[str, Any], message: str) -> None:
    plan = load()
    plan.papers["infnet"].runs["other"] = {
        "train": {"method": "released", "maps": "infnet-released-predictions", **own}
    }
    with pytest.raises(UserError) as e:
        plan.run("infnet/other")
    assert message in str(e.value)


def test_a_network_of_ours_has_no_place_beside_them() -> None:
    plan = load()
    plan.papers["infnet"].runs["other"] = {
        "net": {"name": "unet"},
        "train": {"method": "released", "maps": "infnet-released-predictions", "folders": {"infection": "UNet"}},
    }
    with pytest.raises(UserError, match=r"runs\.other\.net: method released trains nothing; remove it"):
        plan.run("infnet/other")
