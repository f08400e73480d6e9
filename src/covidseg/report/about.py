"""What was run, in one line each: mode, preset, data, stand-ins, date, commit."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from covidseg.jobs import record
from covidseg.plan import Plan


@dataclass
class Limit:
    """Why numbers cannot be held against the printed ones: in words, and the runs that it touches."""

    words: str
    runs: int
    of: int
    settings: dict[str, dict[str, int]] = field(default_factory=dict)  # setting -> change -> runs


def facts(plan: Plan) -> dict[str, str]:
    """Return heading -> what was run. The date is that of the last training, so that equal results give equal pages."""
    config = plan.config
    runs = plan.targets.runs()
    folders = [plan.paths.job(run, *job) for run in runs for job in plan.run(run).jobs]
    finished = [record.read(folder / record.RUN)["finished"] for folder in folders]
    ended = f"; the last ended {max(finished)}" if finished else ""
    folds = "all folds" if config.folds == "all" else f"folds {', '.join(map(str, config.folds))}"
    if config.folds == "all" and plan.preset.folds:
        folds = f"at most {_counted(plan.preset.folds, 'fold')} a split"
    datasets = plan.graph.all_datasets()
    phantoms = "phantom CT, generated here, of " if config.mode == "demo" else ""
    stand_ins = [f"{new} for {old}" for old, new in config.stand_ins.items()]
    return {
        "Mode": config.mode + (": phantom CT, not patients" if config.mode == "demo" else ": the real data"),
        "Preset": f"{plan.preset_name}: {plan.preset.about}",
        "Data": f"{phantoms}{_counted(len(datasets), 'data set')}; {folds}, seeds {', '.join(map(str, config.seeds))}",
        "Stand-ins": "; ".join(stand_ins) or "none",
        "Trained": f"{_counted(len(runs), 'run')}, {_counted(len(finished), 'training')}{ended}",
        "Code": commit(),
        "Settings": plan.source,
    }


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def commit(folder: Path | None = None) -> str:
    """Return the commit of the checkout, and whether files of it were changed; says so where git knows none."""

    def git(*words: str) -> str:
        done = subprocess.run(["git", *words], cwd=folder, capture_output=True, text=True, check=True, timeout=20)
        return done.stdout.strip()

    try:
        found = git("log", "-1", "--format=commit %h of %cs")
        changed = git("status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.SubprocessError):
        return "no commit: not in a git checkout"
    return f"{found}{', with uncommitted changes' if changed else ''}"


def limits(plan: Plan) -> list[Limit]:
    """Return what limits belief in the numbers, the most common first; what the preset changes as one."""
    runs = [plan.run(run) for run in plan.targets.runs()]
    found: dict[str, int] = {}
    settings: dict[str, dict[str, int]] = {}
    scaled = 0
    for run in runs:
        scaled += bool(run.scaled)
        for caveat in plan.resolver.caveats(run):
            if caveat not in run.scaled:
                found[caveat] = found.get(caveat, 0) + 1
                continue
            setting, _, change = caveat.partition(" ")
            changes = settings.setdefault(setting, {})
            changes[change] = changes.get(change, 0) + 1
    out = [Limit(words, count, len(runs)) for words, count in found.items()]
    if scaled:
        words = f"preset {plan.preset_name} changes {len(settings)} settings: {', '.join(settings)}"
        out.append(Limit(words, scaled, len(runs), settings))
    return sorted(out, key=lambda limit: -limit.runs)
