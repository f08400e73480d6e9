"""The plan of the paper by Jin et al.: its rows, its shared runs, its two phases."""

from __future__ import annotations

import pytest

from covidseg import losses
from covidseg.base.errors import UserError
from covidseg.plan import Plan
from covidseg.train.methods.adversarial import Adversarial


@pytest.fixture(scope="module")
def plan() -> Plan:
    return Plan.load({"mode": "paper", "preset": "full", "papers": ["jin"]})


def test_the_tables_have_the_printed_rows_with_their_spread(plan: Plan) -> None:
    """Nine methods by two classes and the average, seven by two classes; the whole method is one run in both."""
    tables = plan.papers["jin"].tables
    lines = {name: table.lines for name, table in tables.items()}  # type: ignore[attr-defined]
    assert {name: len(found) for name, found in lines.items()} == {"1": 27, "2": 14}
    first, last = lines["1"][0], lines["2"][-1]
    assert (first.label, first.cls, first.printed["Dice"], first.spread["Dice"]) == ("FCN", "ggo", 0.48, 0.03)
    assert (last.cls, last.printed["MAE"], last.spread["MAE"]) == ("consolidation", 0.039, 0.01)
    assert lines["1"][-1].run == last.run == "ours"
    assert len({line.run for found in lines.values() for line in found}) == 15


def test_no_printed_specificity_of_consolidation_exceeds_what_the_toolbox_allows(plan: Plan) -> None:
    """Ten of the 48 test slices show none, and the toolbox scores them 0."""
    tables = plan.papers["jin"].tables.values()
    lines = [line for table in tables for line in table.lines]  # type: ignore[attr-defined]
    assert max(line.printed["Spec"] for line in lines if line.cls == "consolidation") == 0.759 < 38 / 48


def test_the_second_phase_begins_after_a_thousand_iterations(plan: Plan) -> None:
    spec = plan.run("jin/ours").spec
    assert isinstance(spec.train, Adversarial)
    batches = -(-45 // spec.train.batch)
    assert (batches, batches * spec.train.from_epoch) == (6, 1002)
    assert (spec.net["vq"], sorted(spec.losses)) == (True, ["cross_entropy", "proportions", "vq"])


def test_a_loss_that_needs_every_label_is_refused_with_the_method(plan: Plan) -> None:
    spec = plan.run("jin/ssa").spec
    with pytest.raises(
        UserError, match=r"losses\.edge: cannot ignore the pixels to which train\.method gives no label"
    ):
        losses.check({**spec.losses, "edge": {}}, "mine", 2, spec.train.leaves_unlabelled)


def test_a_preset_caps_both_phases_by_one_factor() -> None:
    plan = Plan.load({"mode": "paper", "preset": "cpu", "papers": ["jin"]})
    train = plan.run("jin/ours").spec.train
    assert isinstance(train, Adversarial)
    assert train.from_epoch / train.epochs == pytest.approx(0.25, abs=0.01)


def test_one_claim_is_about_spread(plan: Plan) -> None:
    claims = [claim for claim in plan.papers["jin"].tested if claim.about == "spread"]
    assert [(claim.better, claim.than, claim.by) for claim in claims] == [("vvm", "backbone", 0.03)]
    assert len(plan.papers["jin"].claims) >= 20
