"""``covidseg repair``: make again what is damaged, missing or out of date, and nothing else.

A file that is missing or damaged behind a finished report is no reason for Snakemake to do anything, and asked for
everything it would also make again all that was made from that file, trainings too. So the records of what is broken
are removed and Snakemake is asked for exactly these. What comes out with the same bytes as before then changes nothing
that was made from it.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence

from covidseg.base.errors import UserError
from covidseg.plan import Plan, handover
from covidseg.upkeep import folders
from covidseg.upkeep.inventory import Problem, problems

OPTIONS = ("--cores", "all", "--rerun-incomplete", "--quiet", "all", "--logger", "covidseg")


def repair(plan: Plan, dry_run: bool, options: Sequence[str], say: Callable[[str], None]) -> int:
    """Make again what is broken; return Snakemake's exit code, 0 where there is nothing to repair.

    ``options`` replace those that Snakemake is called with, for instance to use a profile. Raises UserError when
    something is still broken afterwards.
    """
    found = problems(plan, thorough=True)
    for problem in found:
        say(f"{'would repair' if dry_run else 'repairing'}: {problem}")
    if not found:
        say("nothing to repair")
    if dry_run or not found:
        return 0
    folders.check()
    for problem in found:
        problem.record.unlink(missing_ok=True)
    targets = dict.fromkeys(str(problem.record) for problem in found)
    command = [sys.executable, "-m", "snakemake", *(options or OPTIONS), "--", *targets]
    if code := subprocess.run(command, env=handover.environment(plan.config), check=False).returncode:
        return code
    if left := still_broken(plan, found):
        raise UserError(f"{left[0]}; it could not be repaired: see its log in {plan.paths.results / 'logs'}")
    say(f"repaired: {len(targets)}; run snakemake, which remakes what depends on anything that changed")
    return 0


def still_broken(plan: Plan, before: list[Problem]) -> list[Problem]:
    """Return those of the problems that are still there."""
    records = {problem.record for problem in before}
    return [problem for problem in problems(plan, thorough=True) if problem.record in records]
