"""Captions: mode, preset, data, and everything in which a table differs from the paper's."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from covidseg.base import records
from covidseg.base.errors import UserError
from covidseg.base.files import need
from covidseg.evaluate.rising import RISING
from covidseg.jobs import record
from covidseg.plan import Plan, Run, qualified
from covidseg.tables.results import UNITS

if TYPE_CHECKING:
    from covidseg.schema import Protocol
    from covidseg.tables.kinds.results import ResultTable


def sentences(plan: Plan, paper: str, name: str) -> list[str]:
    """Return the caption's parts, the paper's own first."""
    head, table = plan.papers[paper].paper, plan.papers[paper].tables[name]
    parts = [f"{head.cited}, Table {name}: {table.caption}.", *table.words(plan, paper, name)]
    return [part.rstrip(".") + "." for part in parts]


def results_in_words(plan: Plan, paper: str, table: ResultTable) -> list[str]:
    """Return what the caption of a table of scores says: mode, preset, protocol, data, and what differs."""
    runs = [plan.run(run) for run in table.wanted_runs(plan.targets, paper)]
    parts = [f"Mode {plan.config.mode}, preset {plan.preset_name}, protocol {table.protocol}."]
    specs = [run.spec for run in runs]
    masks = {spec.dataset: plan.catalogue.lungs_in_words(spec.dataset) for spec in specs}
    data = dict.fromkeys(f"{spec.dataset}, split {spec.split}, lung masks {masks[spec.dataset]}" for spec in specs)
    parts.append(f"Data: {'; '.join(data)}.")
    parts += [leak_finding(plan, *checked) for checked in table.leaks(plan.targets, paper)]
    parts += differences(plan, runs)
    released = {run.id: run.released for run in runs if run.released}
    parts += [f"{run} follows the released code in: {', '.join(names)}." for run, names in released.items()]
    parts += still_rising(plan, runs)
    spread = any(len(run.jobs) > 1 for run in runs)
    protocol = plan.catalogue.protocol(table.protocol)
    unit = UNITS[protocol.unit]
    parts.append(f"Ours: mean over test {unit}" + ", ± standard deviation over folds and seeds" * spread)
    parts += summaries(table, protocol)
    if several := {run.id for run in runs if len(run.spec.classes) > 1}:
        where = "" if protocol.engine == "masks" else ", but for the printed columns' metrics, which take each map"
        parts.append(f"Each pixel belongs to the most probable of background and classes{where}")
        if any(line.run and not line.cls and qualified(paper, line.run) in several for line in table.lines):
            parts.append(f"Average: over {unit} and classes")
    metrics = protocol.metrics
    if counted := [heading for heading, fact in table.facts.items() if fact == "parameters"]:
        parts.append(f"{', '.join(counted)}: parameters in million, of the networks that the paper describes")
    if told := [heading for heading, fact in table.facts.items() if fact != "parameters"]:
        parts.append(f"{', '.join(told)}: of a classifier, on its test images")
    if any(line.spread for line in table.lines):
        parts.append("Printed ± as printed; it counts in the verdict")
    for column, key in table.metrics.items():
        if column != metrics[key].title:
            parts.append(f"{column} is {metrics[key].title} of protocol {table.protocol}")
        if metrics[key].not_comparable:
            parts.append(f"{column}: {metrics[key].not_comparable}.")
    return parts


def summaries(table: ResultTable, protocol: Protocol) -> list[str]:
    """Return what stands in the columns of a table of scores that hold no mean, a sentence a column."""
    unit = UNITS[protocol.unit]
    words = {"median": f"median and quartiles over {unit} with a value", "sum": f"number of {unit}"}
    shown = {column: protocol.metrics[key].summary for column, key in table.metrics.items()}
    return [f"{column}: {words[summary]}" for column, summary in shown.items() if summary in words]


def still_rising(plan: Plan, runs: list[Run]) -> list[str]:
    """Return a sentence on the finished trainings of runs that ended while their validation was still rising.

    Nothing is said of a training whose record is missing or damaged.
    """
    rose: dict[str, list[bool]] = {}
    for run in runs:
        for job in run.jobs:
            with contextlib.suppress(UserError):
                notes = record.read(plan.paths.job(run.id, *job) / record.RUN).get("notes", [])
                rose.setdefault(run.id, []).append(any(note.startswith(RISING) for note in notes))
    names = [name for name, found in rose.items() if any(found)]
    count, total = (sum(map(how, rose.values())) for how in (sum, len))
    said = f"{RISING.capitalize()} in {count} of {total} trainings ({', '.join(names)}): they were too short"
    return [said] if names else []


def leak_finding(plan: Plan, dataset: str, split: str) -> str:
    """Return what the leak check found, named by data set where the plan has several."""
    path = need(plan.paths.leaks(dataset, split, "json"), f"leaks {dataset} {split}")
    with records.parsing(path):
        text = str(records.read(path)["finding"])
    return (
        text if len(plan.graph.leak_sets()) == 1 else text.replace("Leaks:", f"Leaks of {dataset}, split {split}:", 1)
    )


def differences(plan: Plan, runs: list[Run]) -> list[str]:
    """Return sentences that say how runs differ from the paper: what all share, then what only some have."""
    runs = list({run.id: run for run in runs}.values())
    runs_with: dict[str, list[str]] = {}
    for run in runs:
        for caveat in plan.resolver.caveats(run):
            runs_with.setdefault(caveat, []).append(run.id)
    scaled = {change for run in runs for change in run.scaled}
    other = _by_runs({c: found for c, found in runs_with.items() if c not in scaled}, len(runs), "; ")
    preset = _by_runs({c: found for c, found in runs_with.items() if c in scaled}, len(runs), ", ")
    rounded = [run.id for run in runs if run.spec.precision == "bfloat16"]
    names = f" ({', '.join(rounded)})" if len(rounded) < len(runs) else ""
    sentences = [f"Differs from the paper: {other}."] * bool(other)
    sentences += [f"Preset {plan.preset_name} changes {preset}."] * bool(preset)
    return sentences + [f"Trained and predicted in bfloat16{names}."] * bool(rounded)


def _by_runs(runs_with: dict[str, list[str]], every: int, between: str) -> str:
    """Return caveats in words: first those of ``every`` run, then those of some, with the names of these runs."""
    common = between.join(caveat for caveat, found in runs_with.items() if len(found) == every)
    some: dict[str, list[str]] = {}
    for caveat, found in runs_with.items():
        if len(found) < every:
            some.setdefault(", ".join(found), []).append(caveat)
    return "; ".join([common] * bool(common) + [f"{', '.join(caveats)} ({names})" for names, caveats in some.items()])
