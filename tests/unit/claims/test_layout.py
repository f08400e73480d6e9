"""Claims as files: the drawing of an interval by pencil, and what is written and read again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from covidseg import claims
from covidseg.base.errors import UserError
from covidseg.claims.finding import Finding
from covidseg.claims.layout import html, plot
from covidseg.plan import Plan
from tests.unit.claims.test_finding import claim, plan_with, write_scores

FOUND = Finding(
    claim="a", says="A beats B", where="table 1", runs="a, b", cls="infection", protocol="ssanet", metric="dsc",
    column="DSC", better="higher", printed=-0.01, gain=0.005, low=-0.01, high=0.02, p=0.4, cases=9, slices=18, folds=1,
    seeds=1, verdict="inconclusive", why="w", caveats="", digits=3,
)  # fmt: skip
ZERO = '<line x1="90.0" x2="90.0" y1="0" y2="18" stroke="#8a99a8"/>'
BAR = '<line x1="49.0" x2="172.0" y1="9.0" y2="9.0" stroke="#1f5fbf" stroke-width="3" stroke-opacity=".5"/>'
DOT = '<circle cx="110.5" cy="9.0" r="4" fill="#1f5fbf"/>'
DIAMOND = '<path d="M44.0 9.0L49.0 4.0L54.0 9.0L49.0 14.0Z" fill="none" stroke="#d9822b" stroke-width="1.5"/>'


def test_the_widest_value_reaches_the_edge_and_zero_lies_in_the_middle() -> None:
    """180 px wide, 82 to each side: -0.01 of 0.02 is 41 px to the left, 0.005 a quarter of 82 to the right."""
    start = '<svg width="180" height="18" role="img" aria-label="ours +0.005 [-0.010, +0.020]">'
    assert plot(FOUND, 0.02) == f"{start}{ZERO}{BAR}{DOT}{DIAMOND}</svg>"
    assert plot(replace(FOUND, printed=None), 0.02) == f"{start}{ZERO}{BAR}{DOT}</svg>"
    untested = replace(FOUND, gain=None, low=None, high=None, printed=None)
    assert plot(untested, 0.0) == f'<svg width="180" height="18" role="img" aria-label="ours – –">{ZERO}</svg>'


def test_a_claim_without_an_interval_has_no_bar() -> None:
    assert BAR[:5] not in plot(replace(FOUND, low=None), 0.02).replace(ZERO, "")
    assert "circle" not in plot(replace(FOUND, high=None), 0.02)


def test_claims_of_one_metric_share_a_scale() -> None:
    wider = replace(FOUND, claim="b", printed=-0.04)
    page = html("The caption.", [FOUND, wider, replace(FOUND, claim="c", metric="mae", printed=None)])
    assert page.count(DOT) == 1  # of MAE, whose widest value is 0.02
    assert page.count('<circle cx="100.2" cy="9.0"') == 2  # 0.005 of 0.04 is 10.25 px
    assert 'id="claim-a"' in page
    assert "The caption. Drawn: bar, the interval" in page


def test_written_claims_are_read_again(tmp_path: Path) -> None:
    plan = plan_with(tmp_path, [claim(by=1 / 30), claim(id="b", metric="mae")])
    write_scores(plan, "m3", 0.6, mae=0.03)
    write_scores(plan, "m1", 0.5, mae=0.01)
    claims.write(plan, "ssanet")
    frame = claims.read(plan, "ssanet")
    assert list(frame.columns[:4]) == ["paper", "claim", "says", "where"]
    assert frame.paper.tolist() == ["ssanet", "ssanet"]
    assert "class" in frame
    assert frame.verdict.tolist() == ["supported", "not supported"]
    assert "0.033333," in plan.paths.claims("ssanet", "csv").read_text()  # six digits
    plan.paths.claims("ssanet", "csv").write_text("edited")
    with pytest.raises(UserError, match=r"claims/ssanet\.csv: damaged"):
        claims.read(plan, "ssanet")


def test_the_caption_speaks_of_spread_only_where_a_claim_does(tmp_path: Path) -> None:
    plan = plan_with(tmp_path, [claim()])
    said = claims.caption_of(plan, "ssanet")
    assert said.startswith("Claims of Wang et al. Medical Image Analysis 79:102459 (2022), in our words, tested on our")
    assert "Mode paper, preset full." in said
    assert "Spread:" not in said
    assert ".." not in said
    assert "Spread: standard deviation over seeds" in claims.caption_of(Plan.load({"papers": ["jin"]}), "jin")
