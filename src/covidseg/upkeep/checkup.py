"""``covidseg doctor`` and ``covidseg adopt``: whether everything is in place and results are up to date."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from covidseg.base import records
from covidseg.base.errors import UserError
from covidseg.jobs import leases, record
from covidseg.plan import Plan, handover
from covidseg.tables.caption import still_rising
from covidseg.upkeep import folders
from covidseg.upkeep.clean import REMEDY, stale
from covidseg.upkeep.inventory import problems
from covidseg.upkeep.supplies import supplies

GIB = 2**30
TOOLS = ("snakemake", "dvc")
FREE_GIB = {"demo": 1, "paper": 40}  # 20 volumes unpacked, their stores and 512 x 512 tensors


def examine(config: Path, thorough: bool = False) -> tuple[list[str], bool]:
    """Return one finding a line and whether nothing is wrong. Never raises for what it examines.

    ``thorough``: whether raw files and large ones are read and compared with their hashes, too.
    """
    findings: list[tuple[bool, str]] = [
        (sys.version_info[:2] == (3, 11), f"Python {sys.version.split()[0]} (3.11 wanted)"),
        (
            True,
            f"torch {importlib.metadata.version('torch')}, GPU {', '.join(leases.devices()) or 'none: runs on CPU'}",
        ),
    ]
    here = Path(sys.executable).parent
    for tool in TOOLS:
        found = shutil.which(tool, path=f"{here}:{Path.cwd()}") or shutil.which(tool)
        findings.append(
            (bool(found), f"{tool} {importlib.metadata.version(tool) if found else 'is missing: run make setup'}")
        )
    try:
        plan = Plan.load(config)
        findings.append(
            (True, f"{config}: mode {plan.config.mode}, preset {plan.preset_name}, {len(plan.targets.runs())} runs")
        )
        findings += [(True, line) for line in _epochs(plan)]
        findings += _places(plan)
        for paper, name, table in plan.targets.tables():
            findings += [(True, f"{paper}, table {name}: {doubt}") for doubt in table.doubts(plan)]
        findings += _results(plan, thorough)
    except UserError as e:
        findings.append((False, str(e)))
    return [f"{'ok  ' if ok else 'BAD '} {text}" for ok, text in findings], all(ok for ok, _ in findings)


def _places(plan: Plan) -> Iterator[tuple[bool, str]]:
    free = shutil.disk_usage(".").free / GIB
    wanted = FREE_GIB[plan.config.mode]
    if not os.access(".", os.W_OK):
        yield False, f"{Path.cwd()} cannot be written; work in a checkout of your own"
    yield from ((False, problem) for problem in folders.problems())
    yield free >= wanted, f"{free:.0f} GiB free ({wanted} GiB wanted in {plan.config.mode} mode)"
    yield from ((supply.possible, supply.words) for supply in supplies(plan))


def _epochs(plan: Plan) -> Iterator[str]:
    """Yield how many epochs the runs of each paper train, a line a paper."""
    for paper in plan.config.papers:
        found: dict[str, int] = {}
        for run in (plan.run(run_id) for run_id in plan.targets.runs() if run_id.startswith(f"{paper}/")):
            if words := run.epochs_in_words:
                found[words] = found.get(words, 0) + 1
        if found:
            counts = (f"{words} ({number} run{'s' * (number > 1)})" for words, number in found.items())
            yield f"{paper}: {', '.join(counts)}"


def _results(plan: Plan, thorough: bool) -> Iterator[tuple[bool, str]]:
    jobs = [(run, *job) for run in plan.graph.all_runs() for job in plan.run(run).jobs]
    done = sum((plan.paths.job(*job) / record.RUN).is_file() for job in jobs)
    yield True, f"{done} of {len(jobs)} trainings are done"
    yield from ((True, line) for line in still_rising(plan, [plan.run(run) for run in plan.graph.all_runs()]))
    yield from ((True, f"{one}; {REMEDY}") for one in stale(plan))
    for problem in problems(plan, thorough):
        yield False, f"{problem}; {records.REPAIR}"


def adopt(plan: Plan) -> str:
    """Check pulled data and results against their DVC records and today's rows, then let Snakemake accept them.

    Raises UserError naming the first result of another spec, or what DVC finds changed.
    """
    folders.check()
    if found := problems(plan):
        raise UserError(f"{found[0]}; {records.REPAIR}")
    status = _run("dvc", "status")
    if "up to date" not in status.stdout:
        detail = " ".join((status.stdout or status.stderr).split())[:200]
        raise UserError(f"dvc status is not clean: {detail}; run dvc pull, or dvc repro")
    touched = _run(
        "snakemake", "--touch", "--cores", "1", "--quiet", "all", environment=handover.environment(plan.config)
    )
    if touched.returncode:
        raise UserError(f"snakemake --touch failed: {touched.stderr.strip().splitlines()[-1]}")
    return "accepted: snakemake -n now has nothing to do unless something changed"


def _run(*command: str, environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run one of our Python's tools, whether or not its environment is activated."""
    return subprocess.run(
        [sys.executable, "-m", *command], capture_output=True, text=True, check=False, env=environment
    )
