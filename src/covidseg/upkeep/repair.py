"""``covidseg repair``: make again what is damaged, missing or out of date, and nothing else.

Snakemake does nothing about a missing or damaged file that finished results were made from; forced to, it would also
make again everything that depends on the file, trainings included. So the records of the broken results are removed,
and Snakemake is asked for exactly these. A file that is made again with the same bytes changes nothing that depends on
it.
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
