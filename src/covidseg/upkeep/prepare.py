"""What a training needs before it starts, and what its record says of it: from the plan and the files to a job."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from covidseg.base.errors import UserError
from covidseg.base.files import need, sha256
from covidseg.jobs import record
from covidseg.plan import Plan, Run

if TYPE_CHECKING:
    from covidseg.train.job import Job


def job_of(
    plan: Plan, run: Run, fold: int, seed: int, before: list[str], say: Callable[[str], None]
) -> tuple[Job, dict[str, str]]:
    """Return a training's job and the hashes of what it is made from; the stages ``before`` have to be there.

    Raises UserError for a fold that the split lacks, and for what is missing or was made from something else.
    """
    from covidseg.nets import published
    from covidseg.train.job import Job

    if fold not in run.all_folds:
        raise UserError(
            f"{run.id}: split {run.spec.split!r} has no fold {fold}; legal: {', '.join(map(str, run.all_folds))}"
        )
    spec, pool = run.spec, run.spec.pool
    folders = [plan.paths.tensors(*pair) for pair in run.tensors]
    for (name, size), folder in zip(run.tensors, folders, strict=True):
        need(folder / "tensors.json", f"tensors {name} {size}")
    start, prior = plan.resolver.start(run.id, spec), plan.resolver.prior(run.id, spec)
    guide, guided = _guide(plan, plan.run(prior), fold, seed, say) if prior else (None, {})
    maps = plan.paths.canonical(spec.maps) if spec.maps else None
    if maps:
        need(maps / "import.json", f"import {spec.maps}")
    encoder = published.encoder_of(spec.net)
    weights = published.fetch(encoder, plan.config.data / "weights", plan.catalogue.mirror, say) if encoder else None
    code = record.code_fingerprint(*plan.fingerprints.train_modules(spec))
    job = Job(
        spec=spec,
        fold=fold,
        seed=seed,
        tensors=folders[0],
        split=plan.catalogue.split_path(spec.split),
        out=plan.paths.job(run.id, fold, seed),
        class_values=spec.values,
        device=plan.config.device,
        code=code,
        pool=folders[-1] if pool else None,
        pool_values=plan.catalogue.lesion_values(pool.dataset, spec.classes) if pool else (),
        start=plan.paths.job(start, fold, seed) if start else None,
        guide=guide,
        maps=maps,
        weights=weights,
    )
    inputs = {"tensors": sha256(folders[0] / "tensors.json"), "split": sha256(job.split), **guided}
    inputs |= {"pool": sha256(folders[-1] / "tensors.json")} if pool else {}
    inputs |= {"maps": sha256(maps / "import.json")} if maps else {}
    for name in before:
        path = plan.paths.stage(run.id, fold, seed, name) / record.STAGE
        made = record.read(need(path, f"stage {run.id} {name} --fold {fold} --seed {seed}"))
        if made["spec_hash"] != run.hash:
            raise UserError(f"{path}: made from another spec; run snakemake to make it again")
        if made["inputs"] != inputs:
            raise UserError(f"{path}: made from other data or another model; run snakemake to make it again")
    return job, inputs


def _guide(plan: Plan, run: Run, fold: int, seed: int, say: Callable[[str], None]) -> tuple[Job, dict[str, str]]:
    """Return the finished training whose maps are another run's prior, and the hash of its model."""
    from covidseg.upkeep.freshness import usable_model

    job, _ = job_of(plan, run, fold, seed, [], say)
    return job, {"prior": sha256(usable_model(plan, run, fold, seed))}


def facts_of(
    plan: Plan, run: Run, fold: int, seed: int, started: float, code: str, inputs: dict[str, str], command: str
) -> dict[str, Any]:
    """Return what every record of a training says."""
    return {
        "run": run.id,
        "fold": fold,
        "seed": seed,
        "mode": plan.config.mode,
        "preset": plan.preset_name,
        "caveats": plan.resolver.caveats(run),
        "released": list(run.released),
        "spec": run.spec.model_dump(mode="json"),
        "spec_hash": run.hash,
        "code": code,
        "inputs": inputs,
        "command": command,
        "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "wall_seconds": round(time.time() - started, 2),
    }
