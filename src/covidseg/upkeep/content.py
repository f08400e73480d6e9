"""The data that a training depends on: the content of its own cases and of its pool, not of the whole data set.

So adding scans retrains nothing. A record of tensors holds a hash of each case; a training's record holds one over the
cases that its fold and its pool use. Before the graph of jobs is built, ``settled`` says of a user's own folder whether
a training's cases are sure to come out as they are, so that Snakemake need not wait for the rest of the folder.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from covidseg.base import records
from covidseg.base.errors import UserError
from covidseg.base.files import need, sha256, write_json
from covidseg.data import splits
from covidseg.data.importers.folder import labelled_files
from covidseg.jobs import record
from covidseg.plan import Plan, Run, fingerprint_of

LABELLED = "labelled.json"  # beside import.json of a user's folder


def data_inputs(plan: Plan, run: Run, fold: int) -> dict[str, str]:
    """Return the hashes of the cases that a training trains, validates and tests on, and of its pool.

    Raises UserError when the tensors have yet to be made, or lack a case of the split.
    """
    split = splits.read(plan.catalogue.split_path(run.spec.split))
    used = sorted({case for role in splits.ROLES for case in split.cases(fold, role)})
    found = {"tensors": _cases(plan, run.tensors[0], used)}
    if run.spec.pool:
        found["pool"] = _cases(plan, run.tensors[-1], None, without=run.spec.pool.without)
    return found


def _cases(plan: Plan, tensors: tuple[str, int], names: list[str] | None, without: list[str] | None = None) -> str:
    """Return one hash over some cases of tensors, or over all but some. A record without cases counts as a whole."""
    path = need(plan.paths.tensors(*tensors) / "tensors.json", f"tensors {tensors[0]} {tensors[1]}")
    cases = records.read(path).get("cases")
    if not isinstance(cases, dict):
        return sha256(path)
    wanted = names if names is not None else sorted(set(cases) - set(without or []))
    if missing := [name for name in wanted if name not in cases]:
        raise UserError(f"{path}: no case {missing[0]!r}; name cases of the data set in the split")
    return fingerprint_of({name: cases[name] for name in wanted})


def labelled(plan: Plan, dataset: str) -> str | None:
    """Return a hash of all that decides the labelled scans of a user's folder as tensors; None of other data sets.

    It is over settings, code, and the names, sizes and times of the folder's files but for those of unlabelled scans.
    """
    known, hashes = plan.dataset(dataset), plan.fingerprints
    if known.folder is None or known.importer != "folder" or plan.catalogue.lung_source(dataset)["run"] is not None:
        return None
    modules = ["data.canonical", "data.importers.folder", "data.tensors", *hashes.lung_modules(dataset)]
    files = [(str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in labelled_files(known.folder)]
    settings = [hashes.reading(dataset), hashes.lungs(dataset), hashes.tensors(dataset)]
    return fingerprint_of([settings, record.code_fingerprint(*modules), files])


def note(plan: Plan, dataset: str) -> None:
    """Write beside the import of a user's folder what its labelled scans were made from; of other data sets nothing."""
    path = plan.paths.canonical(dataset) / LABELLED
    path.unlink(missing_ok=True)
    if (found := labelled(plan, dataset)) is not None:
        write_json(path, {"labelled": found})


def settled(plan: Plan, run: Run, fold: int | str, seed: int | str) -> bool:
    """Return whether a finished training's cases are those that it learned, whatever else is new in the user's folder.

    A run that draws on a pool of the same folder is not settled: new scans without labels are new to it.
    """
    if run.spec.pool or run.spec.maps:
        return False
    dataset = run.spec.dataset
    try:
        made = _json(plan.paths.job(run.id, fold, seed) / "run.json")
        if made["spec_hash"] != run.hash or _json(plan.paths.canonical(dataset) / LABELLED)["labelled"] is None:
            return False
        path = plan.catalogue.split_path(run.spec.split)
        now = {**data_inputs(plan, run, int(fold)), "split": sha256(path)}
        same = all(made["inputs"].get(key) == value for key, value in now.items())
        return same and _json(plan.paths.canonical(dataset) / LABELLED)["labelled"] == labelled(plan, dataset)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, UserError):
        return False


def _json(path: Path) -> dict[str, Any]:
    found = json.loads(path.read_text("utf-8"))
    assert isinstance(found, dict)
    return found
