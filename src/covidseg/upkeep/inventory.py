"""Every step of a plan with its record, and the problems of its outputs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from covidseg.base import records
from covidseg.base.errors import UserError
from covidseg.data import raw
from covidseg.jobs import record
from covidseg.plan import Plan, Run
from covidseg.upkeep.freshness import masks_problem, scores_problem, training_problem


@dataclass(frozen=True)
class Step:
    """One step: its record, and the records of the steps that it depends on.

    ``behind`` says whether the step may be missing although steps that were made from it are there: raw files may be
    deleted after the import, stages after the training.
    """

    record: Path
    made_from: tuple[Path, ...] = ()
    behind: bool = False


@dataclass(frozen=True)
class Problem:
    """A step whose ``record`` or files are ``missing``, damaged or out of date, and the file that shows it."""

    record: Path
    file: Path
    why: str
    missing: bool = False

    def __str__(self) -> str:
        return f"{self.file}: {self.why}"


def steps(plan: Plan) -> Iterator[Step]:
    """Yield the steps of a plan, each after those that it is made from."""
    paths, catalogue, graph = plan.paths, plan.catalogue, plan.graph
    for name in graph.all_datasets():
        imported = paths.canonical(name) / "import.json"
        if plan.dataset(name).folder is None and not plan.dataset(name).joins:
            yield Step(paths.raw(catalogue.files_of(name)) / raw.RECORD, behind=True)
        yield Step(imported, tuple(graph.imported_from(name)))
        yield Step(paths.canonical(name) / "lungs.json", (imported,))
    for name, size in graph.tensor_sets():
        yield Step(paths.tensors(name, size) / "tensors.json", _data(plan, name))
    for _, split in graph.leak_sets():
        if made := catalogue.made_split(split):
            yield Step(paths.split(split).with_suffix(".json"), (paths.canonical(made[0]) / "import.json",))
    for run_id in graph.all_runs():
        run = plan.run(run_id)
        data = tuple(paths.tensors(*pair) / "tensors.json" for pair in run.tensors)
        if catalogue.made_split(run.spec.split):
            data += (paths.split(run.spec.split).with_suffix(".json"),)
        for job in run.jobs:
            stages = tuple(paths.stage(run_id, *job, name) / record.STAGE for name in run.spec.stages)
            for stage in stages:
                yield Step(stage, data, behind=True)
            others = dict.fromkeys(reference.run for reference in run.references.values())
            models = tuple(paths.job(other, *job) / record.RUN for other in others)
            yield Step(paths.job(run_id, *job) / record.RUN, (*data, *models, *stages))
        yield Step(paths.run(run_id) / "summary.json", _trainings(plan, run))
    for masks in plan.targets.masks():
        run, dataset = plan.targets.masks_of(masks)
        yield Step(paths.masks(masks) / "masks.json", (*_trainings(plan, run), *_data(plan, dataset)))
    for name, split in graph.leak_sets():
        yield Step(paths.leaks(name, split, "json"), _data(plan, name))
    shown = [paths.table(paper, name, "json") for paper, name, _ in plan.targets.tables()]
    shown += [paths.figure(paper, name, "json") for paper, name, _ in plan.targets.figures()]
    shown += [paths.claims(paper, "json") for paper in plan.targets.claims()]
    yield from (Step(path) for path in shown)
    yield Step(paths.report.with_suffix(".json"), tuple(shown))


def problems(plan: Plan, thorough: bool = False) -> list[Problem]:
    """Return the results that are missing, damaged or out of date.

    A step that has not run yet is no problem; one whose output is missing although later steps used it is. Files are
    compared with their hashes; ``thorough``: raw files and large ones too, whose hashes are not known from before.
    """
    every = list(dict.fromkeys(steps(plan)))
    needed = {path for step in every if step.record.is_file() for path in step.made_from}
    found = []
    for step in every:
        if not step.record.is_file():
            if step.record in needed and not step.behind:
                found.append(Problem(step.record, step.record, "missing behind what was made from it", missing=True))
        elif problem := _damage(step.record, thorough):
            found.append(problem)
    unknown = {problem.record for problem in found}
    unknown |= {step.record for step in every if unknown.intersection(step.made_from)}  # with what is it to be compared
    return found + list(_outdated(plan, unknown))


def _damage(path: Path, thorough: bool) -> Problem | None:
    """Return what is wrong with a record or the files that it lists, compared with their hashes."""
    try:
        if path.name == raw.RECORD:
            listed = raw.recorded(path).get("tree")
            if not isinstance(listed, dict):
                return Problem(path, path, "damaged (no record of raw files)")
        else:
            listed = records.read(path)["sha256"]
    except UserError as e:
        return Problem(path, path, _without_remedy(e, path))
    large = path.name == raw.RECORD
    for name, expected in listed.items():
        file = path.parent / name
        if path.name == "masks.json" and name != "volumes.csv":  # a mask may be corrected where it lies
            why = None if file.is_file() else "missing"
        elif thorough or not (large or records.costly(file)):
            why = records.difference(file, expected)
        else:
            why = None if file.is_file() else "missing"
        if why:
            return Problem(path, file, why if why == "missing" else f"damaged ({why})")
    return None


def _outdated(plan: Plan, unknown: set[Path]) -> Iterator[Problem]:
    """Yield the results that are not of today's rows, data and code; nothing is said of those that are ``unknown``."""
    for run_id in plan.graph.all_runs():
        run = plan.run(run_id)
        code = record.code_fingerprint(*plan.fingerprints.train_modules(run.spec))
        fresh = True
        for job in run.jobs:
            path = plan.paths.job(run_id, *job) / record.RUN
            if path in unknown or not path.is_file():
                fresh = False
                continue
            why = _asked(partial(training_problem, plan, run, *job), path)
            if why is None and record.read(path).get("code") != code:
                why = "made by other code"
            if why:
                fresh = False
                yield Problem(path, path, why)
        made = {plan.paths.run(run_id) / "summary.json": partial(scores_problem, plan, run)}
        for masks in plan.targets.masks():
            if plan.targets.masks_of(masks)[0].id == run_id:
                made[plan.paths.masks(masks) / "masks.json"] = partial(masks_problem, plan, masks)
        for path, problem in made.items() if fresh else ():
            if path.is_file() and path not in unknown and (why := _asked(problem, path)):
                yield Problem(path, path, why)


def _asked(ask: Callable[[], str | None], path: Path) -> str | None:
    try:
        return ask()
    except UserError as e:  # of a file that the result is made from
        return _without_remedy(e, path)


def _without_remedy(error: UserError, path: Path) -> str:
    """Return an error's words without its file, where that is ``path``, and without its remedy."""
    return str(error).removeprefix(f"{path}: ").removesuffix(f"; {records.REPAIR}")


def _data(plan: Plan, name: str) -> tuple[Path, ...]:
    return tuple(plan.paths.canonical(name) / made for made in ("import.json", "lungs.json"))


def _trainings(plan: Plan, run: Run) -> tuple[Path, ...]:
    return tuple(plan.paths.job(run.id, *job) / record.RUN for job in run.jobs)
