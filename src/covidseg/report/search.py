"""What the search of the report's pages finds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from covidseg.report.cases import Case


def entries(
    papers: Sequence[dict[str, Any]],
    page: dict[str, str],
    runs: Sequence[dict[str, Any]],
    cases: Sequence[Case],
    datasets: Sequence[dict[str, Any]],
) -> list[tuple[str, str, str]]:
    """Return (what, words, link from the report's folder) of papers, tables, rows, figures, claims, runs, cases and
    data sets.
    """
    found = []
    for paper in papers:
        name, at = paper["paper"], page[paper["paper"]]
        found.append(("paper", f"{name}: {paper['head'].title}", at))
        for t in paper["tables"]:
            found.append(("table", f"{name} table {t['name']}: {t['title']}", f"{at}#table-{t['slug']}"))
            found += [("row", f"{row}, {name} table {t['name']}", f"{at}#table-{t['slug']}") for row in t["rows"]]
        for f in paper["figures"]:
            found.append(("figure", f"{name} figure {f['name']}: {f['lead']}", f"{at}#figure-{f['slug']}"))
        for claim in paper["claims"]["lines"] if paper["claims"] else ():
            found.append(("claim", f"{claim.says} ({name}, {claim.column})", f"{at}#claim-{claim.id}"))
    found += [("run", f"{run['run']} {run['net']}", f"runs.html#{run['slug']}") for run in runs]
    found += [("case", f"{c.name} of {c.dataset}, patient {c.patient}", f"cases.html#{c.link}") for c in cases]
    found += [("data", f"{d['name']}: {d['title']}", f"leaks.html#data-{d['name']}") for d in datasets]
    return found
