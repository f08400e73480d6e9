"""The report: a first page and, in a folder beside it, pages of papers, runs, cases, leaks and resources.

It opens from a file, without a server and without a network. Equal results give equal pages.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

from covidseg.base import csvfile, files, records
from covidseg.base.errors import UserError
from covidseg.base.files import write_text
from covidseg.data import raw
from covidseg.data.canonical import read_table
from covidseg.plan import Plan
from covidseg.report import about, cases, made, paper, runs, search, used
from covidseg.report.numbers import all_tables, metrics, plots, write_metrics
from covidseg.report.rounds import rounds
from covidseg.report.scoreboard import CLAIMS, COLUMNS, scoreboard
from covidseg.tables.cell import SIGNS
from covidseg.tables.page import slug
from covidseg.templates import copy, render

__all__ = ["all_tables", "metrics", "plots", "write"]
PAGES = "pages.json"  # in the report's folder: what we wrote there. Snakemake removes the record beside the folder
OTHERS = {"Runs": "runs.html", "Cases": "cases.html", "Leaks and data": "leaks.html", "Resources": "resources.html"}


def write(plan: Plan) -> Path | None:
    """Write the report and its folder, in which ``metrics`` is what DVC compares between commits.

    A folder that holds anything else than what was written there is set aside under a new name, which is returned.
    """
    # DVC wants them to be there even when the configuration asks for none
    for name in ("tables", "figures", "leaks", "claims", "masks"):
        (plan.paths.results / name).mkdir(parents=True, exist_ok=True)
    folder = plan.paths.report.with_suffix("")
    temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}{files.MAKING}", dir=folder.parent))
    try:
        with files.clear_when_full(folder):
            first = _pages(plan, temporary)
            write_metrics(plan, temporary / "metrics")
        records.write(temporary / PAGES, sorted(path for path in temporary.rglob("*") if path.is_file()))
        temporary.chmod(files.permissions(0o777))
        kept = raw.make_way(folder, folder.parent, _listed(folder))
        files.put(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    write_text(plan.paths.report, first)
    csvfile.write_frame(plan.paths.results / "plots.csv", plots(plan), digits=6)
    write_text(plan.paths.results / "tables.md", all_tables(plan))
    written = [plan.paths.report, *(plan.paths.results / name for name in ("plots.csv", "tables.md"))]
    beside = sorted(path for path in folder.rglob("*") if path.is_file())
    records.write(plan.paths.report.with_suffix(".json"), [*written, *beside])
    return kept


def _listed(folder: Path) -> dict[str, str]:
    """Return path below the folder's parent -> sha256 of what was written into it; of another folder nothing."""
    try:
        made = records.read(folder / PAGES)["sha256"] | {PAGES: files.sha256(folder / PAGES)}
    except UserError:
        return {}
    return {f"{folder.name}/{name}": value for name, value in made.items()}


def _pages(plan: Plan, out: Path) -> str:
    """Write everything of the report but its first page into a folder; return the first page."""
    copy(("style.css", "report.js", "viewer.js"), out)
    made_of = {run.split("/")[0] for run in plan.targets.runs()} | {of for of, _, _ in plan.targets.exhibits()}
    names = [name for name in plan.config.papers if name in made_of]
    page = {name: f"paper-{slug(name)}.html" for name in names}
    shown = cases.write(plan, out)
    extremes = list(cases.extremes(plan, shown, out))
    papers = [paper.page(plan, name, out) for name in names]
    leaks = [_leaks(plan, *checked) for checked in plan.graph.leak_sets()]
    datasets = [_dataset(plan, name) for name in plan.graph.all_datasets()]
    table = runs.table(plan)
    own: dict[str, list[dict[str, Any]]] = {}
    for run in table:
        own.setdefault(run["run"].split("/")[0], []).append(run)

    def write(name: str, template: str, current: str, **values: Any) -> None:
        addresses = [("../report.html", "Overview"), *((file, of) for of, file in page.items())]
        pages = [*addresses, *((file, words) for words, file in OTHERS.items())]
        text = render(template, mode=plan.config.mode, beside="", pages=pages, current=current, title=current, **values)
        (out / name).write_text(text, "utf-8")

    for one in papers:
        script = f"made-{slug(one['paper'])}.js"
        text = json.dumps(made.made(plan, one["paper"]), separators=(",", ":"))
        (out / script).write_text(f"covidsegMade = {text};\n", "utf-8")
        write(page[one["paper"]], "paper.html.j2", one["paper"], made=script, runs=own.get(one["paper"]), **one)
    write("runs.html", "runs.html.j2", "Runs", runs=table, curves=own, rounds=rounds(plan))
    write("cases.html", "cases.html.j2", "Cases", cases=shown)
    write("leaks.html", "leaks.html.j2", "Leaks and data", leaks=leaks, datasets=datasets)
    much = {"much": used.MUCH, "little": used.LITTLE, "worth": used.WORTH}
    write("resources.html", "resources.html.j2", "Resources", used=used.used(plan), **much)
    found = search.entries(papers, page, table, shown, datasets)
    (out / "search.js").write_text(f"covidsegFound({json.dumps(found, separators=(',', ':'))});\n", "utf-8")
    pages = [("report.html", "Overview"), *((f"report/{file}", name) for name, file in page.items())]
    return render(
        "report.html.j2",
        mode=plan.config.mode,
        preset=plan.preset_name,
        title="Overview",
        beside="report/",
        pages=[*pages, *((f"report/{file}", words) for words, file in OTHERS.items())],
        current="Overview",
        about=about.facts(plan),
        boards=scoreboard(plan),
        verdicts=COLUMNS,
        claim_verdicts=CLAIMS,
        signs=SIGNS,
        page={name: f"report/{file}" for name, file in page.items()},
        slug=slug,
        limits=about.limits(plan),
        leaks=sum(1 for leak in leaks if leak["within"]["patient"] or leak["within"]["slice"]),
        checked=len(leaks),
        extremes=extremes,
    )


def _leaks(plan: Plan, dataset: str, split: str) -> dict[str, Any]:
    """Return a leak check's summary, and where its list lies."""
    facts = records.read(plan.paths.leaks(dataset, split, "json"))
    return facts | {"file": str(plan.paths.leaks(dataset, split, "csv"))}


def _dataset(plan: Plan, name: str) -> dict[str, Any]:
    dataset = plan.dataset(name)
    cases = [row["case"] for row in read_table(plan.paths.canonical(name) / "slices.csv")]
    return {
        "name": name,
        "title": dataset.title + (" (phantom)" if plan.config.mode == "demo" else ""),
        "licence": dataset.licence if plan.config.mode == "paper" else "generated here",
        "cases": len({*cases}),
        "slices": len(cases),
        "lungs": plan.catalogue.lungs_in_words(name),
    }
