"""The steps behind the verbs: each reads its inputs, calls the module that does the work, and writes its outputs.

Every step writes its record last, so an existing record means that the step is finished.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from covidseg.base import files, records
from covidseg.base.errors import UserError, nearest, some
from covidseg.base.files import need
from covidseg.jobs import leases, record
from covidseg.plan import WORKFLOW, Plan, Run
from covidseg.plan.names import in_project
from covidseg.upkeep import content, prepare


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


# ---- scans of one's own


def init(config: Path, name: str, folder: Path, say: Callable[[str], None]) -> None:
    """Examine a folder of scans, write a paper file that trains on it, and set the configuration to that file."""
    from covidseg.own import start

    in_project()
    start.init(name, folder, config, say, _say)


# ---- data


def fetch(plan: Plan, name: str) -> None:
    """Download a data set's files; in demo mode, generate its phantom."""
    dataset, raw = plan.dataset(name), plan.paths.raw(name)
    if dataset.joins:
        raise UserError(f"{name}: has no files of its own; fetch {' and '.join(dataset.joins)}, which it joins")
    if (files := plan.catalogue.files_of(name)) != name:
        raise UserError(f"{name}: has no files of its own; fetch {files}, whose files it reads")
    if plan.config.mode == "demo":
        from covidseg.data import phantom

        phantom.write(name, dataset, raw)
        _say(f"{name}: phantom generated in {raw}")
    else:
        from covidseg.data import fetch as fetching

        got = fetching.fetch(name, dataset, raw, plan.catalogue.mirror, WORKFLOW / "datasets", _say)
        missing = ", ".join(got.get("left_out", {}))
        _say(f"{name}: {f'without {missing}' if missing else 'complete'} in {raw}")


def import_(plan: Plan, name: str) -> None:
    """Read a data set's files into its canonical store."""
    from covidseg.data import canonical, importers
    from covidseg.data.importers import leftout
    from covidseg.data.raw import RECORD, verify

    dataset, out = plan.dataset(name), plan.paths.canonical(name)
    for part in dataset.joins:
        for verb in ("import", "lungs"):
            need(plan.paths.canonical(part) / f"{verb}.json", f"{verb} {part}")
    if dataset.joins:
        raw = out.parent
    else:
        source = plan.catalogue.files_of(name)
        raw = dataset.folder or verify(need(plan.paths.raw(source) / RECORD, f"fetch {source}").parent)
    left_out = importers.left_out(raw, dataset)
    for line in leftout.in_words(left_out):
        _say(f"{name}: {line}")
    for note, cases in canonical.write(importers.cases(raw, dataset), dataset, out, left_out).items():
        _say(f"{name}: {note}: {some(cases)}")
    content.note(plan, name)


def lungs(plan: Plan, name: str, gpus: int = 0) -> None:
    """Make a data set's lung masks; a network holds ``gpus`` GPUs meanwhile, see ``leases.lease``."""
    from covidseg import lungs as masks

    folder, source = plan.paths.canonical(name), plan.catalogue.lungs(name)
    need(folder / "import.json", f"import {name}")
    own = (
        leases.lease(plan.config.device, gpus, _say)
        if plan.catalogue.lung_source(name)["network"]
        else contextlib.nullcontext()
    )
    with own:
        predict = _lung_predictor(plan, name, source)
        masks.write_masks(folder, folder / "lungs.h5", source, predict)


def lungs_of_scans(inputs: list[Path], source: str, out: Path, device: str = "auto") -> int:
    """Make the lung masks of scans by a source that works on any of them; return how many scans failed."""
    from covidseg import lungs as lung_masks
    from covidseg.inference import segmenters

    _known(source, [name for name in lung_masks.names() if segmenters.is_lung_model(name)], "--source")
    return predict(Path(), source, inputs, out, "auto", False, device)


def _lung_predictor(plan: Plan, name: str, source: str) -> Any:
    """Return what makes lung masks from images; None where they are not made from images."""
    from covidseg.lungs import Request, predictor

    device, trained = plan.config.device, None
    if (id_ := plan.catalogue.lung_source(name)["run"]) is not None:
        from covidseg.lungs import trained as ours
        from covidseg.upkeep.freshness import usable_model

        run = plan.run(id_)
        trained = ours.predictor(usable_model(plan, run, *run.jobs[0]).parent, run.spec, device)
    weights, window = plan.config.data / "weights", plan.dataset(name).window
    return predictor(source, Request(window, device, weights, plan.catalogue.mirror, trained))


def tensors(plan: Plan, name: str, size: int) -> None:
    """Crop and resize a data set's slices to a network's input size."""
    from covidseg.data import tensors as building

    folder, out = plan.paths.canonical(name), plan.paths.tensors(name, size)
    need(folder / "lungs.json", f"lungs {name}")
    masks = None if plan.catalogue.lungs(name) == "none" else folder / "lungs.h5"
    building.build(folder, plan.dataset(name), size, masks, out)


def split(plan: Plan, name: str) -> None:
    """Make a split by its rule, from the labelled cases that training can use."""
    from covidseg.data import splits
    from covidseg.data.canonical import IMAGE_LABEL, kept, read_table

    made = plan.catalogue.made_split(name)
    if made is None:
        raise UserError(f"split {name!r}: nothing to make; name a data set and a rule: {splits.RULES_IN_WORDS}")
    dataset, folder = plan.dataset(made[0]), plan.paths.canonical(made[0])
    need(folder / "import.json", f"import {made[0]}")
    labelled = f"px_{next(iter(dataset.classes))}"
    cases: dict[tuple[str, str, str], bool] = {}
    shown: dict[str, set[str]] = {}
    for row in read_table(folder / "slices.csv"):
        if (row[labelled] is not None or row.get(IMAGE_LABEL)) and kept(row, dataset):
            cases[row["case"], row["patient"], row["role"]] = True
            shown.setdefault(row["case"], set()).update(name for name in dataset.classes if row[f"px_{name}"])
    lacking = {case for case, classes in shown.items() if len(classes) < len(dataset.classes)}
    # pixels that nobody drew can choose no epoch
    found = splits.make(made[1], cases, plan.paths.split(name), lacking, validate=not dataset.image_labels)
    splits.write(found, f"Made by covidseg split {name}. Copied to workflow/splits it stays when scans are added.")
    records.write(found.path.with_suffix(".json"), [found.path], split=name)
    _say(f"{name}: {len(found.folds)} folds in {found.path}")


def leaks(plan: Plan, name: str, split: str) -> None:
    """Check a split, and the plan's other training data, for patients or slices that also occur in its test cases."""
    from covidseg import leaks as checking
    from covidseg.leaks import alike

    cases, slices = plan.catalogue.split(split), None
    for used in [name, *plan.graph.other_training_sets(name)]:
        folder = need(plan.paths.canonical(used) / "lungs.json", f"lungs {used}").parent
        found = alike.read(used, plan.dataset(used), folder).without(plan.graph.unseen(used))
        slices = found if slices is None else slices + found
    assert slices is not None
    csv, summary = (plan.paths.leaks(name, split, suffix) for suffix in ("csv", "json"))
    finding = checking.write(name, cases, slices, split, csv, summary, plan.graph.pools(name, split))
    _say(f"{name}, split {split}: {finding}")


# ---- training and scoring


def train(plan: Plan, run_id: str, fold: int, seed: int, gpus: int = 0) -> None:
    """Train one run, fold and seed, holding ``gpus`` GPUs, see ``leases.lease``.

    Where the preset makes no jobs of its stages, those that are not finished come first.
    """
    from covidseg import train as training
    from covidseg.train.progress import Progress

    run, title = plan.run(run_id), f"{run_id} fold {fold} seed {seed}"
    _say(f"{title}: {plan.resolver.length(run)}")
    again = False
    for name in run.spec.stages if not run.stage_jobs else []:
        again = again or not prepare.is_done(plan, run, fold, seed, name)  # what follows a new stage is made anew
        if again:
            _stage(plan, run, fold, seed, name, gpus)
    job, inputs = prepare.job_of(plan, run, fold, seed, run.spec.stages, _say)
    prepare.check_foreground(plan, run, fold)
    with leases.lease(plan.config.device if run.spec.net else "cpu", gpus, _say) as held:
        started = time.monotonic()
        facts = training.run(job, Progress(title))
    for note in facts["notes"]:
        _say(f"{title}: {note}")
    stages = [record.read(plan.paths.stage(run_id, fold, seed, name) / record.STAGE) for name in run.spec.stages]
    made = [job.out / name for name in dict.fromkeys([*training.OUTPUTS, *run.spec.train.WRITES])]
    command = f"covidseg --config {plan.source} train {run_id} --fold {fold} --seed {seed}"
    about = prepare.facts_of(plan, run, fold, seed, started, job.code, inputs, command)
    about["wall_seconds"] = round(about["wall_seconds"] + sum(made["wall_seconds"] for made in stages), 2)
    about["peak_memory_mb"] = max([record.peak_memory_mb(), *(made["peak_memory_mb"] for made in stages)])
    record.write(job.out / record.RUN, made, **about, gpus=held, **facts)


def stage(plan: Plan, run_id: str, fold: int, seed: int, name: str, gpus: int = 0) -> None:
    """Run one stage of a training before the last, as a round of self-training, holding ``gpus`` GPUs."""
    run = plan.run(run_id)
    if name not in run.spec.stages:
        legal = nearest(name, run.spec.stages) if run.spec.stages else "its method has none; use covidseg train"
        raise UserError(f"{run_id}: unknown stage {name!r}; {legal}")
    _say(f"{run_id} fold {fold} seed {seed} {name}: {plan.resolver.length(run)}")
    _stage(plan, run, fold, seed, name, gpus)


def _stage(plan: Plan, run: Run, fold: int, seed: int, name: str, gpus: int) -> None:
    from covidseg import train as training
    from covidseg.train.progress import Progress

    title = f"{run.id} fold {fold} seed {seed}"
    before = run.spec.stages[: run.spec.stages.index(name)]
    job, inputs = prepare.job_of(plan, run, fold, seed, before, _say)
    prepare.check_foreground(plan, run, fold)
    path = plan.paths.stage(run.id, fold, seed, name) / record.STAGE
    path.unlink(missing_ok=True)
    with leases.lease(plan.config.device, gpus, _say) as held:
        started = time.monotonic()
        facts = training.stage(job, name, Progress(f"{title} {name}"))
    if facts["passed"]:
        _say(f"{title}: {name} skipped, nothing was left to do")
    command = f"covidseg --config {plan.source} stage {run.id} {name} --fold {fold} --seed {seed}"
    about = prepare.facts_of(plan, run, fold, seed, started, job.code, inputs, command)
    made = files.written(path.parent) if not facts["passed"] else []
    record.write(path, made, stage=name, **about, gpus=held, **facts)


def masks(plan: Plan, name: str, gpus: int = 0) -> None:
    """Predict whole scans with a run's models, holding ``gpus`` GPUs, see ``leases.lease``.

    ``name`` is the run, and after an @ the data set whose scans are predicted, if not its own.
    """
    from covidseg.inference import masks as making

    with leases.lease(plan.config.device, gpus, _say):
        making.write(plan, name, _say)


def score(plan: Plan, run_id: str) -> None:
    """Score all folds and seeds of a run under its tables' protocols and the standard one."""
    from covidseg.evaluate import predictions
    from covidseg.evaluate import score as scoring
    from covidseg.upkeep.freshness import scores_made_from

    run, out = plan.run(run_id), plan.paths.run(run_id)
    protocols = {name: plan.catalogue.protocol(name) for name in plan.targets.protocols(run_id)}
    rows: dict[str, list[dict[str, Any]]] = {name: [] for name in protocols}
    for fold, seed in run.jobs:
        scorers = {name: scoring.Scorer(protocol) for name, protocol in protocols.items()}
        for found in predictions.test_slices(plan, run, fold, seed):
            for scorer in scorers.values():
                scorer.add(found)
        for name, scorer in scorers.items():
            rows[name] += [{"protocol": name, "fold": fold, "seed": seed, **row} for row in scorer.rows()]
    made_from = scores_made_from(plan, run)
    columns = ["protocol", "fold", "seed", *scoring.ABOUT, *(key for p in protocols.values() for key in p.metrics)]
    scoring.write_rows(out / "cases.csv", [row for found in rows.values() for row in found], columns)
    means = {name: scoring.summarise(rows[name], protocol) for name, protocol in protocols.items()}
    records.write(out / "summary.json", [out / "cases.csv"], made_from=made_from, means=means)


def score_folders(protocol: str, truth: Path, pred: Path, out: Path) -> str:
    """Score a folder of predictions; return what to print."""
    from covidseg import evaluate
    from covidseg.base import images
    from covidseg.evaluate import score as scoring

    found = evaluate.protocol(protocol)
    for folder in (truth, pred):
        if folder.is_dir() and (others := images.list_others(folder)):
            _say(f"{folder}: not scored, no PNG, JPEG or NIfTI file, or hidden: {some(others)}")
    summary = evaluate.score_folders(found, truth, pred, out)
    return f"{scoring.in_words(summary, found)}\n{out / 'cases.csv'}"


# ---- new scans


def predict(
    config: Path, model: str, inputs: list[Path], out: Path, format: str, probabilities: bool, device: str
) -> int:
    """Segment new scans with a run, an exported model or a lung segmentation; return how many failed."""
    from covidseg.inference import apply, scans, segmenters

    for name, value, legal in (("format", format, FORMATS), ("device", device, DEVICES)):
        _known(value, legal, f"--{name}")
    found, said = scans.find(inputs)
    for line in said:
        _say(line)
    wanted = apply.Wanted(out, "dicom-seg" if format == "dicom-seg" else "auto", probabilities)
    threads = len(os.sched_getaffinity(0))
    with leases.lease(device, 0, _say):
        weights, mirror = segmenters.weights_folder(), Path(m) if (m := os.environ.get("COVIDSEG_MIRROR")) else None
        if segmenters.is_lung_model(model):
            segmenter = segmenters.of_lungs(model, device, weights, mirror)
        else:
            segmenter = segmenters.of_model(_model(config, model), device, threads, weights, mirror)
        return apply.run(segmenter, found, wanted, _say)


FORMATS, DEVICES = ("auto", "dicom-seg"), ("auto", "cpu", "cuda")


def _model(config: Path, name: str) -> Any:
    """Return the model of an exported file or of a run of the checkout that this is."""
    from covidseg.inference import model

    if Path(name).is_file() or name.count("/") != 1 or not config.is_file():
        return model.load(Path(name))
    from covidseg.inference.export import model_of

    plan = Plan.load(config)
    return model_of(plan, plan.run(name))


def export(plan: Plan, run_id: str, out: Path) -> None:
    """Write a finished run as one file."""
    from covidseg.inference import model
    from covidseg.inference.export import model_of

    found = model_of(plan, plan.run(run_id))
    model.save(found, out)
    said = f"{found.settings.members} trainings" if found.settings.members > 1 else "1 training"
    _say(f"{found.about}: {said}, {out.stat().st_size / 1e6:.1f} MB in {out}")
    if found.settings.caveats:
        _say(f"note: {'; '.join(found.settings.caveats)}")
    _say(f"data: {found.settings.data['title']}; licence: {found.settings.data['licence']}")


# ---- tables, figures, report


def table(plan: Plan, paper: str, name: str) -> None:
    """Make one table."""
    from covidseg import tables

    _known(name, plan.papers[_known(paper, plan.papers, "paper")].tables, "table")
    tables.write(plan, paper, name)


def figure(plan: Plan, paper: str, name: str) -> None:
    """Make one figure."""
    from covidseg import figures

    _known(name, plan.papers[_known(paper, plan.papers, "paper")].figures, "figure")
    figures.write(plan, paper, name)


def claims(plan: Plan, paper: str) -> None:
    """Test a paper's claims."""
    from covidseg import claims as testing

    if not plan.papers[_known(paper, plan.papers, "paper")].claims:
        raise UserError(f"{WORKFLOW}/papers/{paper}.yaml: claims: there is none to test; add one")
    testing.write(plan, paper)


def report(plan: Plan) -> None:
    """Make the report and the metrics that DVC tracks."""
    from covidseg import report as reporting

    if kept := reporting.write(plan):
        _say(f"the report's folder held files that we did not write, or that were changed; set aside as {kept}")


def show(plan: Plan, what: str | None = None) -> None:
    """Print the scoreboard, or the finished tables of a paper."""
    from covidseg.report import terminal

    terminal.show(plan, what)


def _known(name: str, legal: Any, what: str) -> str:
    if name not in legal:
        raise UserError(f"unknown {what} {name!r}; {nearest(name, legal)}")
    return name


# ---- about


def params(net: str, follow: str, inputs: int | None, outputs: int | None) -> int:
    """Return a network's parameter count, in its paper's described or released form where a paper brought it.

    ``inputs`` and ``outputs`` are the channels; where they are None they are the paper's, or 1 without a paper. Raises
    UserError for an unknown network, and for ``follow`` where there is nothing to follow.
    """
    from covidseg import nets
    from covidseg.base.shipped import settings
    from covidseg.plan.resolve import reference

    if follow not in ("described", "released"):
        raise UserError(f"--follow: unknown value {follow!r}; legal: described, released")
    nets.check({"name": net}, "params")
    spec = reference(net, follow, settings("papers"))  # type: ignore[arg-type]
    if spec is None and follow == "released":
        raise UserError(f"--follow: no paper has {net!r} as its default network; leave it out")
    seen = spec.input.channels if spec else 1
    made = len(spec.classes) + (len(spec.classes) > 1) if spec else 1
    return nets.count(spec.net if spec else {"name": net}, inputs or seen, outputs or made)


def trace(plan: Plan, table: str, row: str, metric: str) -> str:
    """Return how a number came about."""
    from covidseg.tables.trace import trace as follow

    paper, _, name = table.partition("/")
    _known(name, plan.papers[_known(paper, plan.papers, "paper")].tables, "table")
    return follow(plan, paper, name, row, metric)


def doctor(config: Path, verify: bool = False) -> tuple[list[str], bool]:
    """Return the findings, one a line, and whether all is well."""
    from covidseg.upkeep import checkup

    return checkup.examine(config, verify)


def repair(plan: Plan, dry_run: bool, options: list[str]) -> int:
    """Make again what is damaged, missing or out of date; return an exit code."""
    from covidseg.upkeep import repair as repairing

    return repairing.repair(plan, dry_run, options, _say)


def clean(plan: Plan, places: list[Path], dry_run: bool) -> int:
    """Remove results whose source is gone, of some folders or of all; return how much there was."""
    from covidseg.upkeep import clean as cleaning
    from covidseg.upkeep import orphans

    if not dry_run and any(map(orphans.alive, orphans.notes())):
        raise UserError("a snakemake works here; clean when it has ended")
    return cleaning.clean(plan, places, dry_run, _say)


def adopt(plan: Plan) -> str:
    """Make Snakemake accept pulled results that were made from the current settings."""
    from covidseg.upkeep import checkup

    return checkup.adopt(plan)


def resume(orphans: str | None) -> int:
    """Continue a Snakemake that was killed, by replacing this process; return an exit code where that is impossible."""
    from covidseg.upkeep import orphans as left

    return left.resume(orphans, _say)
