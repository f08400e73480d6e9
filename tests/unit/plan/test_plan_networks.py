"""The comparison of all networks: every one is in it, and all learn in the same way."""

from __future__ import annotations

from covidseg import nets
from covidseg.plan import Plan

NO_SEGMENTATION = {"classifier", "icd", "irn", "seam"}  # they make image labels, borders or attention


def test_every_network_is_compared_and_all_learn_alike() -> None:
    plan = Plan.load({"mode": "paper", "preset": "cpu", "papers": ["networks"], "init": "random"})
    runs = [plan.run(run) for run in plan.graph.all_runs() if run.startswith("networks/")]
    assert sorted(run.spec.net["name"] for run in runs) == sorted(set(nets.names()) - NO_SEGMENTATION)
    assert len({run.spec.model_dump_json(exclude={"net"}) for run in runs}) == 1
    assert {run.spec.net["width"] for run in runs} == {0.5}
    assert (runs[0].spec.input.size, runs[0].spec.train.epochs, runs[0].spec.train.batch) == (128, 60, 8)


def test_every_network_is_a_row_and_is_compared_with_the_u_net() -> None:
    paper = Plan.load({"mode": "paper", "preset": "cpu", "papers": ["networks"], "init": "random"}).papers["networks"]
    runs = set(paper.runs)
    assert set(paper.tables["networks"].runs) == runs == set(paper.figures["networks"].runs)
    assert {claim.better for claim in paper.claims} == runs - {"unet"}
    assert {claim.than for claim in paper.claims} == {"unet"}
