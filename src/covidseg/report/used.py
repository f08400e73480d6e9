"""What jobs asked for beside what they used, so that a user can tune it: memory, time, GPUs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from covidseg.base import records
from covidseg.jobs import record
from covidseg.plan import Plan, Run
from covidseg.plan.needs import Needs

MUCH, LITTLE = 0.8, 0.1  # shares of what was asked: above the one it is tight, below the other wasted
WORTH = {"memory": 2048, "time": 60}  # MiB and minutes; to ask for less than so much gains nothing


@dataclass(frozen=True)
class Job:
    """What one job used: its name within the training, seconds (None: not known), MiB, GPUs held and their MiB."""

    name: str
    seconds: float | None
    memory: int
    gpus: int
    gpu_memory: int


def used(plan: Plan) -> list[dict[str, Any]]:
    """Return a line per run and per run's masks: asked, and of all its jobs the highest that was used."""
    lines = []
    for run_id in plan.graph.all_runs():
        run = plan.run(run_id)
        found = [job for fold, seed in run.jobs for job in jobs(plan, run, fold, seed)]
        step = "train, stage" if run.jobs_before else "train"
        lines.append({"run": run_id, "step": step, **line(plan.needs.training(run.spec, run.stage_jobs), found)})
    for masks in plan.targets.masks():
        made = records.read(plan.paths.masks(masks) / "masks.json")
        one, spec = Job("", None, made["peak_memory_mb"], 0, 0), plan.targets.masks_of(masks)[0].spec
        lines.append({"run": masks, "step": "masks", **line(plan.needs.masks(spec), [one])})
    return lines


def jobs(plan: Plan, run: Run, fold: int, seed: int) -> list[Job]:
    """Return the jobs of one training: its stages, then the last.

    ``run.json`` says of a training in stages the seconds of all and the highest memory, so the last job's seconds are
    what the stages leave, and not known where a stage's record was deleted.
    """
    made = record.read(plan.paths.job(run.id, fold, seed) / "run.json")
    paths = [plan.paths.stage(run.id, fold, seed, name) / record.STAGE for name in run.spec.stages]
    stages = [record.read(path) for path in paths if path.is_file()]
    last = made["wall_seconds"] - sum(facts["wall_seconds"] for facts in stages)
    where = f"fold {fold} seed {seed}" if len(run.jobs) > 1 else ""
    known = len(stages) == len(paths)
    return [
        *(_job(facts, f"{facts['stage']} {where}", facts["wall_seconds"]) for facts in stages),
        _job(made, f"last {where}" if paths else where, last if known else None),
    ]


def _job(facts: dict[str, Any], name: str, seconds: float | None) -> Job:
    gpus, memory = len(facts.get("gpus", ())), facts.get("peak_gpu_memory_mb", 0)
    return Job(name.strip(), seconds, facts["peak_memory_mb"], gpus, memory)


def line(asked: Needs, found: list[Job]) -> dict[str, Any]:
    """Return what the table says of jobs that asked for the same, with remarks in words on what to tune."""
    seconds = [(job.seconds, job.name) for job in found if job.seconds is not None]
    longest, which = max(seconds) if seconds else (None, "")
    minutes = None if longest is None else longest / 60
    memory, gpus = max(job.memory for job in found), max(job.gpus for job in found)
    remarks = [_remark("memory", memory, asked.memory_mb), _remark("time", minutes, asked.minutes)]
    if asked.gpus and not gpus and seconds:
        remarks.append("GPU: asked for, none held")
    return {
        "jobs": len(found),
        "asked": asked,
        "memory": memory,
        "minutes": minutes,
        "which": which,
        "gpus": gpus,
        "gpu_memory": max(job.gpu_memory for job in found),
        "remarks": [remark for remark in remarks if remark],
    }


def _remark(what: str, used: float | None, asked: float) -> str:
    """Return what a share of the asked says to do, as ``memory: 91 % of asked, ask for more``; nothing in between."""
    share = (used or 0) / asked
    if used is None or (LITTLE <= share <= MUCH) or (share < LITTLE and asked <= WORTH[what]):
        return ""
    return f"{what}: {share:.0%} of asked, ask for {'more' if share > MUCH else 'less'}".replace("%", " %")
