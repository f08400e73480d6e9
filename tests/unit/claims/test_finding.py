"""Pairs, direction and verdicts on hand-made scores; what is refused."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from covidseg.base.errors import UserError
from covidseg.base.files import sha256
from covidseg.claims.bootstrap import Estimate
from covidseg.claims.finding import INCONCLUSIVE, NOT_SUPPORTED, PHANTOMS, SUPPORTED, differences, findings, judge
from covidseg.claims.layout import interval, markdown, p_value, plot, signed
from covidseg.plan import Plan, Run
from covidseg.plan.resolver import Resolver
from covidseg.schema import Claim
from covidseg.tables.cell import NOT_FOUND
from covidseg.upkeep.freshness import scores_made_from
from tests.records import write_record

RUNS = ("m1", "m3")
CASES = [(fold, f"c{fold}{k}") for fold in range(5) for k in range(2)]


def claim(**changes: Any) -> Claim:
    about = {"id": "a", "says": "s", "where": "w", "better": "m3", "than": "m1", "protocol": "ssanet", "metric": "dsc"}
    return Claim.model_validate(about | changes)


def plan_with(tmp_path: Path, claims: list[Claim], **config: Any) -> Plan:
    plan = Plan.load({"mode": "paper", "results": str(tmp_path), "data": str(tmp_path / "data"), **config})
    plan.papers["ssanet"] = plan.papers["ssanet"].model_copy(update={"claims": claims})
    return plan


def write_scores(
    plan: Plan, run: str, dsc: float, steps: float = 0.0, classes: dict[str, float] | None = None, **columns: float
) -> None:
    """Write a run's records and scores: two slices a case, ``dsc`` in its first case, ``steps`` more in each next.

    ``classes``: by how much each class scores more.
    """
    full = plan.run(f"ssanet/{run}")
    for job in full.jobs:
        split = sha256(plan.catalogue.split_path(full.spec.split))
        write_record(plan.paths.job(full.id, *job) / "run.json", {"spec_hash": full.hash, "inputs": {"split": split}})
    rows = [
        {"protocol": "ssanet", "fold": fold, "seed": seed, "unit": "slice", "case": case, "slice": f"{case}/{s}"}
        | {"class": cls, "dsc": dsc + k * steps + more, **columns}
        for cls, more in (classes or {"infection": 0.0}).items()
        for seed in plan.config.seeds
        for k, (fold, case) in enumerate(CASES)
        for s in range(2)
    ]
    pd.DataFrame(rows).to_csv(plan.paths.run(full.id) / "cases.csv", index=False)
    seal(plan, full)


def seal(plan: Plan, run: Run) -> None:
    """Write the record of a run's scores, as scoring does."""
    folder = plan.paths.run(run.id)
    made = {"made_from": scores_made_from(plan, run), "sha256": {"cases.csv": sha256(folder / "cases.csv")}}
    write_record(folder / "summary.json", made)


def test_higher_is_better_supports(tmp_path: Path) -> None:
    plan = plan_with(tmp_path, [claim(by=0.0291)])
    write_scores(plan, "m3", 0.6)
    write_scores(plan, "m1", 0.5)
    found = next(findings(plan, "ssanet"))
    assert (found.gain, found.low, found.high) == pytest.approx((0.1, 0.1, 0.1))
    assert (found.verdict, found.cases, found.slices, found.folds, found.seeds) == (SUPPORTED, 10, 20, 5, 1)
    assert found.why == "the printed difference +0.0291 lies outside the interval"
    assert found.caveats == "one seed, so the chance of training is left out"


def test_lower_is_better_turns_the_sign(tmp_path: Path) -> None:
    plan = plan_with(tmp_path, [claim(metric="mae"), claim(id="b", metric="mae", better="m1", than="m3")])
    write_scores(plan, "m3", 0.5, mae=0.03)
    write_scores(plan, "m1", 0.5, mae=0.01)
    first, second = findings(plan, "ssanet")
    assert (first.gain, first.verdict) == (pytest.approx(-0.02), NOT_SUPPORTED)
    assert (second.gain, second.verdict) == (pytest.approx(0.02), SUPPORTED)


def test_pairs_take_away_what_cases_share(tmp_path: Path) -> None:
    # Cases differ by far more than the runs do; paired by slice, the difference is 0.01 in every one of them.
    plan = plan_with(tmp_path, [claim()])
    write_scores(plan, "m3", 0.11, steps=0.05)
    write_scores(plan, "m1", 0.10, steps=0.05)
    found = next(findings(plan, "ssanet"))
    assert (found.low, found.high, found.verdict) == (pytest.approx(0.01), pytest.approx(0.01), SUPPORTED)


def test_pairs_go_by_slice_not_by_line(tmp_path: Path) -> None:
    plan = plan_with(tmp_path, [claim()])
    write_scores(plan, "m3", 0.11, steps=0.05)
    write_scores(plan, "m1", 0.10, steps=0.05)
    path = plan.paths.run("ssanet/m1") / "cases.csv"
    pd.read_csv(path).iloc[::-1].to_csv(path, index=False)
    seal(plan, plan.run("ssanet/m1"))
    assert differences(plan, "ssanet", *claim().tests()).difference.tolist() == pytest.approx([0.01] * 20)


def test_beyond_takes_off_the_other_gain(tmp_path: Path) -> None:
    plan = plan_with(tmp_path, [claim(better="m4", than="m3", beyond=["m2", "m1"])])
    for run, dsc in {"m4": 0.8, "m3": 0.7, "m2": 0.55, "m1": 0.6}.items():
        write_scores(plan, run, dsc)
    assert next(findings(plan, "ssanet")).gain == pytest.approx(0.15)  # (0.8 - 0.7) - (0.55 - 0.6)


def test_a_claim_of_a_class_and_one_of_the_average(tmp_path: Path) -> None:
    plan = plan_with(tmp_path, [claim(**{"class": "ggo"}), claim(id="b")])
    runs = {name: {**(plan.papers["ssanet"].runs[name] or {}), "classes": ["ggo", "consolidation"]} for name in RUNS}
    defaults = plan.papers["ssanet"].defaults | {"dataset": "covid-semiseg", "split": "infnet-50-48"}
    plan.papers["ssanet"] = plan.papers["ssanet"].model_copy(update={"runs": runs, "defaults": defaults})
    Resolver.run.cache_clear()
    write_scores(plan, "m3", 0.5, classes={"ggo": 0.1, "consolidation": 0.3})
    write_scores(plan, "m1", 0.5, classes={"ggo": 0.0, "consolidation": 0.0})
    ggo, average = findings(plan, "ssanet")
    assert (ggo.gain, ggo.cls, ggo.column) == (pytest.approx(0.1), "ggo", "DSC, ggo")
    assert (average.gain, average.cls, average.column) == (pytest.approx(0.2), "average", "DSC, average")
    assert (ggo.slices, average.slices, average.cases) == (20, 20, 10)


def test_seeds_count_slices_once(tmp_path: Path) -> None:
    plan = plan_with(tmp_path, [claim()], seeds=[0, 1])
    write_scores(plan, "m3", 0.6)
    write_scores(plan, "m1", 0.5)
    found = next(findings(plan, "ssanet"))
    assert (found.cases, found.slices, found.seeds, found.caveats) == (10, 20, 2, "")


@pytest.mark.parametrize(
    ("low", "high", "cases", "verdict"),
    [
        (0.001, 0.2, 20, SUPPORTED),
        (0.0, 0.2, 20, INCONCLUSIVE),
        (-0.2, 0.0, 20, INCONCLUSIVE),
        (-0.2, -0.001, 20, NOT_SUPPORTED),
        (0.001, 0.2, 6, SUPPORTED),
        (0.001, 0.2, 5, INCONCLUSIVE),
    ],
)
def test_verdicts(low: float, high: float, cases: int, verdict: str) -> None:
    assert judge(Estimate((low + high) / 2, low, high, 0.5), cases, None, 4)[0] == verdict


def test_the_printed_difference_is_held_against_the_interval() -> None:
    found = Estimate(0.1, 0.05, 0.15, 0.01)
    assert judge(found, 20, 0.15, 4)[1] == "the printed difference +0.1500 lies inside the interval"
    assert judge(found, 20, 0.1501, 4)[1] == "the printed difference +0.1501 lies outside the interval"
    assert judge(None, 0, 0.1, 4) == (INCONCLUSIVE, "no slice has a value")


def test_phantoms_support_nothing(tmp_path: Path) -> None:
    plan = plan_with(tmp_path, [claim()], mode="demo")
    write_scores(plan, "m3", 0.6)
    write_scores(plan, "m1", 0.5)
    found = next(findings(plan, "ssanet"))
    assert (found.verdict, found.low) == (PHANTOMS, pytest.approx(0.1))
    assert found.caveats.startswith("phantom CT, not patients; 2 of 5 folds (0, 1); preset tiny; one seed")


def test_maps_that_others_released_and_that_were_not_found(tmp_path: Path) -> None:
    plan = plan_with(tmp_path, [claim(by=0.03), claim(id="b", better="m1", than="m3")])
    write_scores(plan, "m3", 0.6)
    write_scores(plan, "m1", 0.5)
    path = plan.paths.run("ssanet/m1") / "cases.csv"
    pd.read_csv(path).iloc[:0].to_csv(path, index=False)
    seal(plan, plan.run("ssanet/m1"))
    for found in findings(plan, "ssanet"):
        assert (found.verdict, found.why, found.gain, found.p) == (NOT_FOUND, "", None, None)
        assert (found.cases, found.slices, found.folds, found.seeds) == (0, 0, 0, 0)
    assert NOT_FOUND == "maps not found"


def test_runs_left_out_are_not_run(tmp_path: Path) -> None:
    plan = plan_with(tmp_path, [claim(by=0.0291)], only=["ssanet/m3"])
    found = next(findings(plan, "ssanet"))
    assert (found.verdict, found.gain, found.cases, found.caveats) == ("not run", None, 0, "")
    assert list(plan.targets.claims()) == []


def test_a_stand_in_stands_beside_the_verdict(tmp_path: Path) -> None:
    plan = plan_with(tmp_path, [claim()], stand_ins={"covid-ct-seg": "zenodo20-slices"}, preset="cpu", folds=[0, 1])
    write_scores(plan, "m3", 0.6)
    write_scores(plan, "m1", 0.5)
    caveats = next(findings(plan, "ssanet")).caveats.split("; ")
    assert caveats[:2] == ["zenodo20-slices stands in for covid-ct-seg", "2 of 5 folds (0, 1)"]
    assert "preset cpu" in caveats


def test_four_cases_have_no_p_and_no_verdict(tmp_path: Path) -> None:
    plan = plan_with(tmp_path, [claim()])
    for run, dsc in {"m3": 0.6, "m1": 0.5}.items():
        write_scores(plan, run, dsc)
        path = plan.paths.run(f"ssanet/{run}") / "cases.csv"
        frame = pd.read_csv(path)
        frame[frame.fold < 2].to_csv(path, index=False)
        seal(plan, plan.run(f"ssanet/{run}"))
    found = next(findings(plan, "ssanet"))
    assert (found.cases, found.p, found.verdict) == (4, None, INCONCLUSIVE)


def test_a_result_of_another_spec_is_refused(tmp_path: Path) -> None:
    plan = plan_with(tmp_path, [claim()])
    write_scores(plan, "m3", 0.6)
    write_scores(plan, "m1", 0.5)
    write_record(plan.paths.job("ssanet/m1", 2, 0) / "run.json", {"spec_hash": "0", "spec": {}})
    with pytest.raises(UserError, match=r"m1/fold2-seed0/run\.json: made with other settings"):
        list(findings(plan, "ssanet"))


def test_runs_of_other_slices_are_refused(tmp_path: Path) -> None:
    plan = plan_with(tmp_path, [claim()])
    write_scores(plan, "m3", 0.6)
    write_scores(plan, "m1", 0.5)
    path = plan.paths.run("ssanet/m1") / "cases.csv"
    pd.read_csv(path).iloc[1:].to_csv(path, index=False)
    seal(plan, plan.run("ssanet/m1"))
    with pytest.raises(UserError, match="claim 'a': m3 and m1 were not tested on the same slices"):
        list(findings(plan, "ssanet"))


def test_slices_without_a_value_are_left_out_and_said(tmp_path: Path) -> None:
    plan = plan_with(tmp_path, [claim()])
    write_scores(plan, "m3", 0.6)
    write_scores(plan, "m1", 0.5)
    path = plan.paths.run("ssanet/m1") / "cases.csv"
    frame = pd.read_csv(path)
    frame.loc[0, "dsc"] = None
    frame.to_csv(path, index=False)
    seal(plan, plan.run("ssanet/m1"))
    found = next(findings(plan, "ssanet"))
    assert (found.slices, found.gain) == (19, pytest.approx(0.1))
    assert found.caveats.endswith("1 slices without a value left out")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"better": "m33"}, "claims.a: unknown name 'm33'; did you mean 'm3'?"),
        ({"beyond": ["m1", "e7"]}, "claims.a: unknown name 'e7'; legal: d3, d3-clean,"),
        ({"metric": "dcs"}, "claims.a.metric: unknown name 'dcs'; did you mean 'dsc'?"),
        ({"protocol": "sanet"}, "unknown protocol 'sanet'; did you mean 'ssanet'?"),
        ({"better": "m4-dataset2"}, "claims.a: m4-dataset2 over m1: their data set, split or classes differ"),
        ({"class": "infectoin"}, "claims.a.class: unknown name 'infectoin'; did you mean 'infection'?"),
        ({"clas": "infection"}, "claims.0.clas: unknown key; did you mean 'class'?"),
        ({"id": "b"}, "claims.b: two claims have this id; rename one"),
        ({"id": "A B"}, "claims.0.id: unusable name"),
        ({"beter": "m3"}, "claims.0.beter: unknown key; did you mean 'better'?"),
    ],
)
def test_a_claim_of_unknown_names_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    raw = yaml.safe_load(Path("workflow/papers/ssanet.yaml").read_text())
    raw["claims"] = [claim().model_dump(mode="json") | changes, claim(id="b").model_dump(mode="json")]
    here = tmp_path / "workflow"
    here.mkdir()
    for name in ("datasets", "presets", "protocols", "splits"):
        (here / name).symlink_to(Path("workflow", name).resolve())
    (here / "papers").mkdir()
    (here / "papers" / "ssanet.yaml").write_text(yaml.safe_dump(raw))
    (here / "papers" / "lungmask.yaml").symlink_to(Path("workflow/papers/lungmask.yaml").resolve())
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError) as e:
        Plan.load({"mode": "paper"})
    assert message in str(e.value)
    assert "\n" not in str(e.value)


def test_a_claim_in_several_metrics_is_tested_in_each(tmp_path: Path) -> None:
    several = {"metric": None, "metrics": {"dsc": 0.03, "mae": None}, "maps": ["m4", "m2"]}
    plan = plan_with(tmp_path, [claim(**several)], only=["ssanet/m2"])
    found = [(f.claim, f.says, f.runs, f.metric, f.printed) for f in findings(plan, "ssanet")]
    assert found == [
        ("a-dsc", "s", "m3 over m1", "dsc", 0.03),
        ("a-mae", "s", "m3 over m1", "mae", None),
        ("maps-a-dsc", "s, by the authors' maps", "m4 over m2", "dsc", 0.03),
        ("maps-a-mae", "s, by the authors' maps", "m4 over m2", "mae", None),
    ]
    for wrong in ({"metrics": {"dsc": 0.03}}, {"metric": None}, several | {"by": 0.1}):
        with pytest.raises(ValueError, match="metric"):
            claim(**wrong)


def test_printed_differences_are_those_of_the_printed_tables() -> None:
    for name in Plan.load({}).config.papers:
        paper = Plan.load({}).papers[name]
        printed = {
            (line.run, line.cls, table.protocol, table.metrics[column]): value
            for table in paper.tables.values()
            if table.kind == "results"
            for line in table.lines
            for column, value in line.printed.items()
            if column in table.metrics
        }
        for c in (c for c in paper.tested if c.by is not None):
            sign = 1 if Plan.load({}).catalogue.protocol(c.protocol).metrics[c.metric].better == "higher" else -1
            values = [printed[run, c.cls, c.protocol, c.metric] for run in c.runs]
            gain = values[0] - values[1] - (values[2] - values[3] if c.beyond else 0)
            assert c.by == pytest.approx(sign * gain, abs=1e-9), c.id


def test_a_claim_scores_its_runs_under_its_protocol(tmp_path: Path) -> None:
    plan = plan_with(tmp_path, [claim(protocol="infnet_toolbox", metric="mae")])
    assert "infnet_toolbox" in plan.targets.protocols("ssanet/m1")
    assert "infnet_toolbox" not in plan.targets.protocols("ssanet/m2")


def test_numbers_as_shown(tmp_path: Path) -> None:
    assert [signed(v, 4) for v in (0.1, -0.1, 0.00001, -0.00001, None)] == [
        "+0.1000",
        "-0.1000",
        "0.0000",
        "0.0000",
        "–",
    ]
    assert [p_value(v) for v in (0.0002, 0.0456, None)] == ["< 0.001", "0.046", "–"]
    plan = plan_with(tmp_path, [claim(by=0.05)])
    write_scores(plan, "m3", 0.6)
    write_scores(plan, "m1", 0.5)
    found = next(findings(plan, "ssanet"))
    assert interval(found) == "[+0.1000, +0.1000]"
    assert "| s (w; m3 over m1) | DSC | +0.0500 | +0.1000 | [+0.1000, +0.1000] | < 0.001 | 10 | 20 | **supported**" in (
        markdown("Caption.", [found])
    )
    drawn = plot(found, 0.1)
    assert 'cx="172.0"' in drawn  # 0.1 on a scale of 0.1: 8 px from the right of 180
    assert 'd="M126.0 9.0L131.0' in drawn  # printed 0.05: half way, 90 + 41


def test_a_claim_about_spread_needs_three_seeds(tmp_path: Path) -> None:
    plan = plan_with(tmp_path, [claim(about="spread", by=0.03)], seeds=[0, 1])
    for run in RUNS:
        write_scores(plan, run, 0.5)
    (found,) = findings(plan, "ssanet")
    assert (found.verdict, found.gain, found.column) == ("needs more seeds", None, "spread of DSC")
    assert found.why == "a spread takes 3 or more; set seeds in config.yaml"


def test_a_claim_about_spread(tmp_path: Path) -> None:
    """m3 scores 0.5 with all three seeds, m1 0.4, 0.5 and 0.6: a deviation of 0.1."""
    plan = plan_with(tmp_path, [claim(about="spread", by=0.03)], seeds=[0, 1, 2])
    for run, step in (("m1", 0.1), ("m3", 0.0)):
        write_scores(plan, run, 0.5)
        path = plan.paths.run(f"ssanet/{run}") / "cases.csv"
        frame = pd.read_csv(path)
        frame["dsc"] += step * (frame.seed - 1)
        frame.to_csv(path, index=False)
        seal(plan, plan.run(f"ssanet/{run}"))
    (found,) = findings(plan, "ssanet")
    assert (found.verdict, found.seeds) == (SUPPORTED, 3)
    assert (found.gain, found.low, found.high) == pytest.approx((0.1, 0.1, 0.1))
    assert found.why == "the printed difference +0.0300 lies outside the interval"


def test_a_claim_about_spread_compares_two_runs_only() -> None:
    with pytest.raises(ValueError, match="about: spread compares two runs that were trained; remove maps and beyond"):
        claim(about="spread", beyond=("m1", "m3"))
