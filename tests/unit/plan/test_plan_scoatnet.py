"""SCOAT-Net's paper file: what its print contradicts is said in notes, and its series is asked for."""

from __future__ import annotations

import pytest

from covidseg import nets
from covidseg.base.errors import UserError
from covidseg.plan import Plan

PLAN = {"papers": ["scoatnet"]}


@pytest.fixture(scope="module")
def plan() -> Plan:
    return Plan.load(PLAN)


def test_rows_that_cannot_be(plan: Plan) -> None:
    """By case DSC is the harmonic mean of SEN and PPV, so its mean is at most (SEN + PPV) / 2."""
    tables = {name: plan.papers["scoatnet"].tables[name] for name in ("I", "II", "III")}
    rows = {(name, line.label): line.printed for name, table in tables.items() for line in table.lines}
    assert len(rows) == 18
    above = [key for key, p in rows.items() if p["DSC"] > (p["SEN"] + p["PPV"]) / 2]
    assert above == [("I", "MAE"), ("I", "Focal")]
    twice = [key for key, p in rows.items() if p["VA"] == p["PPV"]]
    assert twice == [("I", "BCE-Dice"), ("II", "Attention U-Net")]
    said = " ".join(note for table in tables.values() for note in table.notes)
    for part in ("MAE (0.8574 above 0.8425)", "Focal (0.8773 above 0.8761)", "0.9064, the same as its PPV", "0.8669"):
        assert part in said


def test_the_networks_have_the_parameters_that_the_note_names(plan: Plan) -> None:
    counts = {
        name: nets.count({**plan.run(f"scoatnet/{name}").spec.net, "width": 1}, 1, 1) for name in ("scoat", "unetpp")
    }
    assert counts == {"scoat": 40_790_931, "unetpp": 36_628_993}
    assert [round(count / 2**20, 2) for count in counts.values()] == [38.90, 34.93]


def test_claims_and_runs(plan: Plan) -> None:
    paper = plan.papers["scoatnet"]
    tests = [test for claim in paper.claims for test in claim.tests()]
    assert (len(paper.claims), len(tests)) == (23, 44)
    printed = {line.run: line.printed for name in ("I", "II", "III") for line in paper.tables[name].lines}
    columns = {"dsc": "DSC", "sen": "SEN", "ppv": "PPV", "va": "VA", "rlp": "RLP", "rlr": "RLR"}
    for test in tests:  # of scoat the VA of tables II and III
        column = columns[test.metric]
        assert test.by == pytest.approx(printed[test.better][column] - printed[test.than][column], abs=1e-9), test.id
    shown = {run for table in paper.tables.values() for run in table.runs}
    assert len(shown) == 15


def test_restart_keeps_its_share_of_the_epochs(plan: Plan) -> None:
    """tiny takes a tenth of the epochs: the restart moves with them."""
    described = Plan.load({"mode": "paper", "preset": "full", **PLAN}).run("scoatnet/scoat").spec.train
    assert (described.epochs, described.optimizer.restart.epoch, described.optimizer.restart.lr) == (100, 50, 0.001)
    tiny = plan.run("scoatnet/scoat").spec.train
    assert tiny.optimizer.restart.epoch * 2 == tiny.epochs


def test_the_private_data_set_is_stood_in_for(plan: Plan) -> None:
    assert plan.run("scoatnet/scoat").spec.dataset == "covid-ct-seg"
    chain = Plan.load({"mode": "paper", "stand_ins": {"covid-ct-seg": "zenodo20-slices"}, **PLAN})
    assert chain.run("scoatnet/scoat").spec.dataset == "zenodo20-slices"
    assert chain.run("scoatnet/scoat").spec.split == "ma5-patients-zenodo20"
    with pytest.raises(UserError, match="a circle, covid-ct-seg to scoat-private to covid-ct-seg"):
        Plan.load({"mode": "paper", "stand_ins": {"covid-ct-seg": "scoat-private"}, **PLAN}).run("scoatnet/scoat")


def test_masks_of_the_series_are_asked_for(plan: Plan) -> None:
    assert plan.targets.masks() == ["scoatnet/scoat@covid-19-ct-series"]
