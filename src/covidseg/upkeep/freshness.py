"""Whether a finished result was made from the current settings, data and protocols."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from covidseg.base import records
from covidseg.base.errors import UserError
from covidseg.base.files import need, sha256
from covidseg.jobs import record
from covidseg.plan import Plan, Run
from covidseg.schema.references import MODEL
from covidseg.upkeep.content import data_inputs


def training_problem(plan: Plan, run: Run, fold: int, seed: int) -> str | None:
    """Return why a training is out of date, or None. Raises UserError when its record is missing or damaged."""
    made = record.read(plan.paths.job(run.id, fold, seed) / "run.json")
    if made.get("spec_hash") != run.hash:
        changed = _changed(made.get("spec", {}), run.spec.model_dump(mode="json"))
        return f"made with other settings ({changed})"
    if all((plan.paths.tensors(*pair) / "tensors.json").is_file() for pair in run.tensors):
        _split(plan, run)
        now = data_inputs(plan, run, fold)
        if any(made.get("inputs", {}).get(key) != value for key, value in now.items()):
            return "made from other data"
    if run.spec.maps:
        maps = plan.paths.canonical(run.spec.maps) / "import.json"
        if maps.is_file() and made.get("inputs", {}).get("maps") != sha256(maps):
            return "made from other maps"
    if made.get("inputs", {}).get("split") != sha256(_split(plan, run)):
        return f"made with another split {run.spec.split}"
    for role, reference in run.references.items():
        if problem := training_problem(plan, plan.run(reference.run), fold, seed):
            return f"made with {reference.file} of {reference.run}, which was {problem}"
        theirs = record.read(plan.paths.job(reference.run, fold, seed) / record.RUN)
        if made.get("inputs", {}).get(role) != theirs["sha256"].get(reference.file):
            return f"made with another {reference.file} of {reference.run}"
    return None


def usable(plan: Plan, run: Run, fold: int, seed: int, file: str) -> Path:
    """Return a file of a finished training. Raises UserError when it is missing, damaged or out of date."""
    folder = plan.paths.job(run.id, fold, seed)
    path = need(folder / file, f"train {run.id} --fold {fold} --seed {seed}")
    if problem := training_problem(plan, run, fold, seed):
        raise UserError(f"{folder / record.RUN}: {problem}; {records.REPAIR}")
    return records.verified(path, record.RUN)


def usable_model(plan: Plan, run: Run, fold: int, seed: int) -> Path:
    """Return the file of a training's model. Raises UserError as ``usable``."""
    return usable(plan, run, fold, seed, MODEL)


def scores_problem(plan: Plan, run: Run) -> str | None:
    """Return why a run's scores are not those of its predictions under the current protocols, or None.

    Raises UserError when they are missing or damaged.
    """
    folder = plan.paths.run(run.id)
    records.verified(folder / "cases.csv", "summary.json")
    same = records.read(folder / "summary.json").get("made_from") == scores_made_from(plan, run)
    return None if same else "made from other predictions or protocols"


def scores_made_from(plan: Plan, run: Run) -> dict[str, Any]:
    """Return hashes of what determines a run's scores: protocols, and the predictions of each training."""
    return {"protocols": plan.fingerprints.score(run.id), "predictions": _outputs(plan, run, "predictions.h5")}


def masks_problem(plan: Plan, masks: str) -> str | None:
    """Return why masks of whole scans are not those of their run's models and of the data, or None.

    Raises UserError when the table of volumes is damaged, or it or a mask is missing.
    """
    folder = plan.paths.masks(masks)
    made = records.read(folder / "masks.json")
    for name in made["sha256"]:
        if name == "volumes.csv" or not (folder / name).is_file():  # a mask may be corrected where it lies
            records.verified(folder / name, "masks.json")
    return None if made.get("made_from") == masks_made_from(plan, masks) else "made from other models or data"


def masks_made_from(plan: Plan, masks: str) -> dict[str, Any]:
    """Return hashes of what determines masks of whole scans: the run's models, the data, the split."""
    run, dataset = plan.targets.masks_of(masks)
    data = plan.paths.canonical(dataset)
    return {
        "plan": plan.fingerprints.masks(masks),
        "models": _outputs(plan, run, "model.safetensors"),
        "data": sha256(need(data / "import.json", f"import {dataset}")),
        "lungs": sha256(need(data / "lungs.json", f"lungs {dataset}")),
        "split": sha256(_split(plan, run)),
    }


def _outputs(plan: Plan, run: Run, name: str) -> dict[str, Any]:
    """Return the hash of a file as each training's record names it."""
    found = {f"fold{f}-seed{s}": record.read(plan.paths.job(run.id, f, s) / record.RUN) for f, s in run.jobs}
    return {job: made["sha256"].get(name) for job, made in found.items()}


def _split(plan: Plan, run: Run) -> Path:
    return need(plan.catalogue.split_path(run.spec.split), f"split {run.spec.split}")


def _changed(before: dict[str, Any], after: dict[str, Any], path: str = "") -> str:
    for key in sorted(set(before) | set(after)):
        a, b = before.get(key), after.get(key)
        if isinstance(a, dict) and isinstance(b, dict):
            if found := _changed(a, b, f"{path}{key}."):
                return found
        elif a != b:
            return f"{path}{key} was {a}, is {b}"
    return ""
