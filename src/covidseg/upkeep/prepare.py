"""The preparation of a training: its job, its preconditions, and the facts of its record."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from covidseg.base import records
from covidseg.base.errors import UserError, some
from covidseg.base.files import need, sha256
from covidseg.data.canonical import read_table
from covidseg.data.tensors import RECORD as TENSORS
from covidseg.jobs import record
from covidseg.plan import Plan, Run
from covidseg.upkeep.content import data_inputs
from covidseg.upkeep.freshness import usable

if TYPE_CHECKING:
    from covidseg.train.job import Job


def job_of(
    plan: Plan, run: Run, fold: int, seed: int, before: list[str], say: Callable[[str], None]
) -> tuple[Job, dict[str, str]]:
    """Return a training's job and the hashes of what it is made from; the stages ``before`` have to be there.

    Raises UserError for a fold that the split lacks, and for what is missing, damaged or was made from something else.
    """
    from covidseg.data import unpublished
    from covidseg.nets import published

    if fold not in run.all_folds:
        raise UserError(
            f"{run.id}: split {run.spec.split!r} has no fold {fold}; legal: {', '.join(map(str, run.all_folds))}"
        )
    job = _job(plan, run, fold, seed)
    inputs = data_inputs(plan, run, fold) | {"split": sha256(need(job.split, f"split {run.spec.split}"))}
    inputs |= {"maps": sha256(job.maps / "import.json")} if job.maps else {}
    for role, reference in run.references.items():
        other = plan.run(reference.run)
        job.references[role] = _job(plan, other, fold, seed)
        inputs[role] = sha256(usable(plan, other, fold, seed, reference.file))
    for name in before:
        _check_stage(plan, run, fold, seed, name, inputs)
    encoder = published.encoder_of(run.spec.net)
    folder, mirror, hashes = plan.config.data / "weights", plan.catalogue.mirror, plan.config.weights
    weights = published.fetch(encoder, folder, mirror, hashes, say) if encoder else None
    salient = None
    if getattr(run.spec.train, "saliency", None) == "poolnet":
        salient = unpublished.find("poolnet", mirror, hashes, "set saliency: lungs or contrast in config.yaml")
        inputs["saliency"] = sha256(salient)
    code = record.code_fingerprint(*plan.fingerprints.train_modules(run.spec))
    return replace(job, weights=weights, saliency_weights=salient, code=code), inputs


def is_done(plan: Plan, run: Run, fold: int, seed: int, name: str) -> bool:
    """Return whether a stage of a training is finished, with the current settings, data and code.

    Raises UserError as ``job_of`` does for what the stage itself is made from.
    """
    job, inputs = job_of(plan, run, fold, seed, [], lambda _: None)
    try:
        return _check_stage(plan, run, fold, seed, name, inputs)["code"] == job.code
    except UserError:
        return False


def _job(plan: Plan, run: Run, fold: int, seed: int) -> Job:
    """Return a training with its data and its folder. Raises UserError when the data have yet to be made."""
    from covidseg.train.job import Job

    spec = run.spec
    folders = [plan.paths.tensors(*pair) for pair in run.tensors]
    split = plan.catalogue.split_path(spec.split)
    if plan.catalogue.made_split(spec.split):
        records.verified(need(split, f"split {spec.split}"), split.with_suffix(".json"))
    for (name, size), folder in zip(run.tensors, folders, strict=True):
        need(folder / TENSORS, f"tensors {name} {size}")
        for file in records.read(folder / TENSORS)["sha256"]:  # before the training removes what an earlier one made
            records.verified(folder / file, TENSORS)
    maps = plan.paths.canonical(spec.maps) if spec.maps else None
    if maps:
        need(maps / "import.json", f"import {spec.maps}")
    return Job(
        spec=spec,
        fold=fold,
        seed=seed,
        tensors=folders[0],
        split=split,
        out=plan.paths.job(run.id, fold, seed),
        class_values=spec.values,
        device=plan.config.device,
        pool=folders[-1] if spec.pool else None,
        pool_values=plan.catalogue.lesion_values(spec.pool.dataset, spec.classes) if spec.pool else (),
        maps=maps,
    )


def _check_stage(plan: Plan, run: Run, fold: int, seed: int, name: str, inputs: dict[str, str]) -> dict[str, Any]:
    """Check that an earlier stage was made from the current settings and data, and that its files are unchanged.

    Returns its record. Raises UserError.
    """
    path = plan.paths.stage(run.id, fold, seed, name) / record.STAGE
    made = record.read(need(path, f"stage {run.id} {name} --fold {fold} --seed {seed}"))
    if made["spec_hash"] != run.hash:
        raise UserError(f"{path}: made with other settings; {records.REPAIR}")
    if made["inputs"] != inputs:
        raise UserError(f"{path}: made from other data or another model; {records.REPAIR}")
    for file in made["sha256"]:
        records.verified(path.parent / file, path)
    return made


def check_foreground(plan: Plan, run: Run, fold: int) -> None:
    """Raise UserError when no training case, or no validation case, of a fold shows one of the run's classes."""
    if not run.spec.net or fold not in run.all_folds:
        return
    dataset, split = plan.dataset(run.spec.dataset), plan.catalogue.split(run.spec.split)
    if dataset.image_labels:
        if (named := split.cases(fold, "val")) and not run.spec.train.LABELS_ONLY:
            raise UserError(
                f"{run.id} fold {fold}: {named[0]!r} validates, and {run.spec.dataset} has no masks to compare with; "
                "give it the role train"
            )
        return
    by_value = {value: name for name, value in dataset.classes.items()}
    sides = {role: cases for role in ("train", "val") if (cases := set(split.cases(fold, role)))}
    lacking = {(role, name) for role in sides for name, values in run.spec.values.items() if values}
    table = plan.paths.canonical(run.spec.dataset) / "slices.csv"
    for row in read_table(need(table, f"import {run.spec.dataset}")):
        for role, name in list(lacking):
            if row["case"] in sides[role] and any(row[f"px_{by_value[value]}"] for value in run.spec.values[name]):
                lacking.discard((role, name))
    for role, name in sorted(lacking):
        named = split.cases(fold, role)
        where = {"train": "training", "val": "validation"}[role]
        raise UserError(
            f"{run.id} fold {fold}: class {name!r} has no pixel in the {where} cases "
            f"({some(named, 5)}); correct their masks, or name another split: in which some case shows it"
        )


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
        "wall_seconds": round(time.monotonic() - started, 2),
    }
