"""The test of a claim on our runs: difference, confidence interval and verdict."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd

from covidseg.base.errors import UserError
from covidseg.claims import spread
from covidseg.claims.bootstrap import Estimate, estimate
from covidseg.plan import Plan, qualified
from covidseg.schema import Comparison
from covidseg.tables.cell import NOT_FOUND, NOT_RUN
from covidseg.tables.results import run_scores, shown_class, tested

SUPPORTED = "supported"
NOT_SUPPORTED = "not supported"
INCONCLUSIVE = "inconclusive"
NEEDS_SEEDS = "needs more seeds"
ONE_SEED = "one seed, so the chance of training is left out"
PHANTOMS = "phantoms cannot support a claim"
KEYS = ["fold", "seed", "case", "slice", "class"]
FEWEST = 6  # cases behind a verdict and a p: with 5 even a unanimous sign has a two-sided p of 2 / 2**5 = 0.06


@dataclass(frozen=True)
class Finding:
    """The result of testing one claim. ``printed``, ``gain``, ``low`` and ``high`` above zero favour the claim.

    ``cls`` is the class compared, or the average; files name it ``class``.
    """

    claim: str
    says: str
    where: str
    runs: str
    cls: str
    protocol: str
    metric: str
    column: str
    better: str
    printed: float | None
    gain: float | None
    low: float | None
    high: float | None
    p: float | None
    cases: int
    slices: int
    folds: int
    seeds: int
    verdict: str
    why: str
    caveats: str
    digits: int


def findings(plan: Plan, paper: str) -> Iterator[Finding]:
    """Yield the result of each claim of a paper. Raises UserError for a result that was made with other settings."""
    for claim in plan.papers[paper].tested:
        metric = plan.catalogue.protocol(claim.protocol).metrics[claim.metric]
        found, why, verdict = None, "", NOT_RUN
        pairs = pd.DataFrame(columns=[*KEYS, "difference"])
        caveats: list[str] = []
        run = plan.run(qualified(paper, claim.better))
        cls = shown_class(run, claim.cls)
        if plan.targets.testable(paper, claim):
            pairs = differences(plan, paper, claim)
            there, kept = len(pairs), pairs.dropna(subset="difference")
            without = tested(pairs[pairs.difference.isna()])
            caveats = caveats_of(plan, paper, claim, pairs.seed.nunique(), without)
            pairs = kept
            if claim.about == "spread":
                found = spread.estimate(*_by_seed(plan, paper, claim))
                caveats = [caveat for caveat in caveats if caveat != ONE_SEED]
            else:
                found = estimate(pairs) if len(pairs) else None
            verdict, why = judge(found, pairs.case.nunique(), claim.by, metric.digits)
            if claim.about == "spread" and found is None:
                verdict, why = NEEDS_SEEDS, f"a spread takes {spread.FEWEST} or more; set seeds in config.yaml"
            if not there:
                verdict, why = NOT_FOUND, ""
            if plan.config.mode == "demo":
                verdict, why = PHANTOMS, ""
        yield Finding(
            claim=claim.id,
            says=claim.says,
            where=claim.where,
            runs=claim.runs_in_words,
            cls=cls,
            protocol=claim.protocol,
            metric=claim.metric,
            column=("spread of " if claim.about == "spread" else "")
            + (metric.title if len(run.spec.classes) == 1 else f"{metric.title}, {cls}"),
            better=metric.better,
            printed=claim.by,
            gain=found.mean if found else None,
            low=found.low if found else None,
            high=found.high if found else None,
            p=found.p if found and pairs.case.nunique() >= FEWEST else None,
            cases=pairs.case.nunique(),
            slices=tested(pairs),
            folds=pairs.fold.nunique(),
            seeds=pairs.seed.nunique(),
            verdict=verdict,
            why=why,
            caveats="; ".join(caveats),
            digits=metric.digits,
        )


def differences(plan: Plan, paper: str, claim: Comparison) -> pd.DataFrame:
    """Return a line per fold, seed and slice (or case, as the protocol counts): by how much the claim's run is better.

    There is a line for each class, or only for the one that the claim names; none where a run's maps were not found.
    With ``beyond``, the gain of its first run
    over its second is taken off. Raises UserError when runs were not tested on the same slices.
    """
    protocol = plan.catalogue.protocol(claim.protocol)
    sign = 1 if protocol.metrics[claim.metric].better == "higher" else -1
    columns = []
    for name in claim.runs:
        frame = run_scores(plan, plan.run(qualified(paper, name)), claim.protocol, protocol.unit, claim.cls)
        columns.append(frame.fillna({"slice": ""}).set_index(KEYS)[claim.metric].sort_index())
        if not len(columns[-1]):  # maps that others released and that were not found
            return columns[-1].rename("difference").reset_index()
        if not columns[0].index.equals(columns[-1].index):
            raise UserError(
                f"claim {claim.id!r}: {claim.better} and {name} were not tested on the same slices; "
                "give both runs one data set and split"
            )
    total = columns[0] - columns[1]
    if claim.beyond:
        total = total - (columns[2] - columns[3])
    return (sign * total).rename("difference").reset_index()


def _by_seed(plan: Plan, paper: str, claim: Comparison) -> list[pd.Series]:
    """Return the mean score of each seed of the runs that a claim compares."""
    unit = plan.catalogue.protocol(claim.protocol).unit
    runs = [plan.run(qualified(paper, name)) for name in claim.runs]
    return [spread.by_seed(run_scores(plan, run, claim.protocol, unit, claim.cls), claim.metric) for run in runs]


def judge(found: Estimate | None, cases: int, printed: float | None, digits: int) -> tuple[str, str]:
    """Return (verdict, why): supported where the whole interval lies above zero, not supported where below."""
    if found is None:
        return INCONCLUSIVE, "no slice has a value"
    if cases < FEWEST:
        return INCONCLUSIVE, f"{cases} cases; fewer than {FEWEST} cannot decide"
    verdict = SUPPORTED if found.low > 0 else NOT_SUPPORTED if found.high < 0 else INCONCLUSIVE
    if printed is None:
        return verdict, ""
    inside = found.low <= printed <= found.high
    return (
        verdict,
        f"the printed difference {printed:+.{digits}f} lies {'inside' if inside else 'outside'} the interval",
    )


def caveats_of(plan: Plan, paper: str, claim: Comparison, seeds: int, without: int) -> list[str]:
    """Return the caveats of a verdict. What the preset changes is said in the caption instead."""
    runs = [plan.run(qualified(paper, name)) for name in claim.runs]
    out = list(dict.fromkeys(c for run in runs for c in plan.resolver.caveats(run) if c not in run.scaled))
    if any(run.scaled for run in runs):
        out.append(f"preset {plan.preset_name}")
    if seeds == 1:
        out.append(ONE_SEED)
    if without:
        unit = {"slice": "slices", "case": "scans", "pooled": "folds"}[plan.catalogue.protocol(claim.protocol).unit]
        out.append(f"{without} {unit} without a value left out")
    return out
