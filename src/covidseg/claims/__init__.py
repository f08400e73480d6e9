"""A paper's claims, each tested on our runs: difference in the claim's favour, confidence interval, verdict."""

from __future__ import annotations

from dataclasses import asdict

import pandas as pd

from covidseg.base import csvfile, records
from covidseg.base.files import write_text
from covidseg.claims.bootstrap import RESAMPLES
from covidseg.claims.finding import FEWEST, findings
from covidseg.claims.layout import html, markdown
from covidseg.plan import Plan
from covidseg.tables.caption import differences


def write(plan: Plan, paper: str) -> None:
    """Write a paper's claims as CSV, Markdown and HTML. Raises UserError for a result of another spec."""
    found = list(findings(plan, paper))
    frame = pd.DataFrame([asdict(finding) for finding in found]).drop(columns="digits")
    frame = frame.rename(columns={"cls": "class"})
    frame.insert(0, "paper", paper)
    caption = caption_of(plan, paper)
    csvfile.write_frame(plan.paths.claims(paper, "csv"), frame, digits=6)
    write_text(plan.paths.claims(paper, "md"), markdown(caption, found))
    write_text(plan.paths.claims(paper, "html"), html(caption, found))
    made = [plan.paths.claims(paper, suffix) for suffix in ("csv", "md", "html")]
    records.write(plan.paths.claims(paper, "json"), made, paper=paper, preset=plan.preset_name)


TEXT = ("paper", "claim", "says", "where", "runs", "class", "protocol", "metric", "column", "better", "verdict", "why",
        "caveats")  # fmt: skip


def read(plan: Plan, paper: str) -> pd.DataFrame:
    """Return a paper's finished claims, a line each. Raises UserError when they are not what was written."""
    path = plan.paths.claims(paper, "csv")
    with records.parsing(path):
        return csvfile.frame(records.verified(path, path.with_suffix(".json")), TEXT)


def caption_of(plan: Plan, paper: str) -> str:
    """Return how claims are tested, then mode, preset, and everything that differs from the paper."""
    head, about = plan.papers[paper].paper, {claim.about for claim in plan.papers[paper].claims}
    parts = [
        f"Claims of {head.cited}, in our words, tested on our runs.",
        "Differences are in the claim's favour: above zero is as the paper has it, also where lower is better.",
        "Ours: mean over what the claim's protocol counts, slices or scans. Interval: paired bootstrap, "
        f"{RESAMPLES:,} resamples of cases within folds (of all "
        "cases where folds share them or test one), and of seeds where there are several; a case keeps its slices.",
        "Supported: the whole interval lies above zero; not supported: below; else inconclusive. p: two-sided, of the "
        f"sign, not corrected for the number of claims, of {FEWEST} cases or more.",
        *(["Spread: standard deviation over seeds; interval and p of the F test."] if "spread" in about else []),
        f"Mode {plan.config.mode}, preset {plan.preset_name}.",
        *differences(plan, [plan.run(run) for run in plan.targets.claim_runs(paper)]),
    ]
    return " ".join(parts).replace("..", ".")
