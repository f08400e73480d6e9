"""A paper's claims: forest plots of the differences, and a line per claim with its verdict."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from typing import Any

from covidseg import claims as finished
from covidseg.claims import caption_of
from covidseg.claims.finding import INCONCLUSIVE, NOT_SUPPORTED, SUPPORTED
from covidseg.claims.layout import p_value, signed
from covidseg.plan import Plan
from covidseg.report.svg import Mark, forest

SIGNS = {SUPPORTED: "✓", INCONCLUSIVE: "?", NOT_SUPPORTED: "✗"}
UNTESTED = "–"


@dataclass
class Claim:
    """One line, as text. ``notes`` are the numbers of remarks below the table."""

    id: str
    says: str
    where: str
    runs: str
    column: str
    printed: str
    ours: str
    interval: str
    p: str
    cases: int
    slices: int
    verdict: str
    sign: str
    kind: str
    notes: list[int]


def claims(plan: Plan, paper: str) -> dict[str, Any]:
    """Return a paper's claims, their forest plots by metric, the remarks that several share once, and the caption."""
    frame = finished.read(plan, paper).astype(object)
    frame = frame.where(frame.notna(), None)
    remarks: dict[str, int] = {}
    lines: list[Claim] = []
    marks: dict[str, list[Mark]] = {}
    row: Any
    for row in frame.itertuples():
        digits = plan.catalogue.protocol(row.protocol).metrics[row.metric].digits
        notes = [note for note in (row.why, *row.caveats.split("; ")) if note]
        sign = SIGNS.get(row.verdict, UNTESTED)
        interval = "–" if row.gain is None else f"[{signed(row.low, digits)}, {signed(row.high, digits)}]"
        lines.append(
            Claim(
                id=row.claim,
                says=row.says,
                where=row.where,
                runs=row.runs,
                column=row.column,
                printed=signed(row.printed, digits),
                ours=signed(row.gain, digits),
                interval=interval,
                p=p_value(row.p),
                cases=row.cases,
                slices=row.slices,
                verdict=row.verdict,
                sign=sign,
                kind="c-" + (row.verdict.replace(" ", "-") if row.verdict in SIGNS else "not-tested"),
                notes=[remarks.setdefault(note, len(remarks) + 1) for note in notes],
            )
        )
        title = f"{row.column}, protocol {row.protocol}"
        label = textwrap.shorten(row.says, 70, placeholder="…")
        mark = Mark(label, row.gain, row.low, row.high, row.printed, f"#claim-{row.claim}", sign)
        marks.setdefault(title, []).append(mark)
    label = "difference in the claim's favour"
    drawn = {title: forest(found, f"{title}: {label}", zero=True) for title, found in marks.items()}
    plots = {title: plot for title, plot in drawn.items() if plot}
    return {"lines": lines, "plots": plots, "remarks": list(remarks), "caption": caption_of(plan, paper)}
