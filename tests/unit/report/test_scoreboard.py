"""How many numbers and claims held, counted from small tables by hand."""

from pathlib import Path

import pandas as pd
import pytest

from covidseg.base import records
from covidseg.base.errors import UserError
from covidseg.plan import Plan
from covidseg.report import terminal
from covidseg.report.scoreboard import scoreboard


def plan_with(tmp_path: Path) -> Plan:
    """Return a plan with a finished table 3 and claims of SSA-Net, and nothing of the other papers."""
    plan = Plan.load({"results": str(tmp_path), "papers": ["ssanet", "infnet"]})
    verdicts = ["equal", "inside our spread", "outside our spread", "differs", "not comparable", "", "not run"]
    lines = [
        {"row": f"r{k}", "run": "", "class": "infection", "protocol": "ssanet", "column": "DSC", "metric": "dsc"}
        | {"printed": 0.5, "ours": 0.4, "sd": None, "verdict": verdict, "why": "x"}
        for k, verdict in enumerate([*verdicts, "maps not found"])
    ]
    lines.append(lines[0] | {"protocol": "standard"})  # the panel below the table prints nothing
    path = plan.paths.table("ssanet", "3", "csv")
    path.parent.mkdir(parents=True)
    pd.DataFrame(lines).to_csv(path, index=False)
    records.write(path.with_suffix(".json"), [path])
    found = ["supported", "supported", "inconclusive", "not supported", "phantoms cannot support a claim"]
    claims = [{"claim": f"c{k}", "verdict": verdict, "printed": None, "gain": 0.1} for k, verdict in enumerate(found)]
    path = plan.paths.claims("ssanet", "csv")
    path.parent.mkdir(parents=True)
    pd.DataFrame(claims).assign(low=0.0, high=0.2).to_csv(path, index=False)
    records.write(path.with_suffix(".json"), [path])
    return plan


def test_numbers_and_claims_are_counted_by_verdict(tmp_path: Path) -> None:
    (board,) = scoreboard(plan_with(tmp_path))
    assert (board.paper, list(board.tables)) == ("ssanet", ["3"])
    assert board.total == {
        "equal": 1,
        "within spread": 1,
        "differs": 2,
        "not comparable": 1,
        "nothing printed": 1,
        "not run": 2,
    }
    assert board.claims == {"supported": 2, "inconclusive": 1, "not supported": 1, "not tested": 1}
    assert (board.first("differs"), board.first("equal")) == ("3", "3")


def test_show_prints_the_board_and_a_table_only_when_asked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan = plan_with(tmp_path)
    terminal.show(plan)
    text = capsys.readouterr().out
    assert "by verdict" in text
    assert "table 3" not in text
    terminal.show(plan, "ssanet/3")
    text = capsys.readouterr().out
    assert "ssanet, table 3" in text
    assert "printed / ours; mean over test slices" in " ".join(text.split())
    assert "c0" not in text
    terminal.show(plan, "ssanet")
    assert "c0" in capsys.readouterr().out
    for wrong, message in (("sanet", "did you mean 'ssanet'?"), ("ssanet/33", "did you mean '3'?")):
        with pytest.raises(UserError, match=message.replace("?", r"\?")):
            terminal.show(plan, wrong)
