"""Captions: mode, preset, data, and everything in which a table differs from the paper's."""

from __future__ import annotations

import json

from covidseg.files import need
from covidseg.plan import Plan, Run
from covidseg.schema import DatasetTable


def caption_of(plan: Plan, paper: str, name: str) -> str:
    """Return the caption: the paper's, then mode, preset, data and everything that differs from the paper."""
    head, table = plan.papers[paper].paper, plan.papers[paper].tables[name]
    parts = [f"{head.cited}, Table {name}: {table.caption}."]
    if isinstance(table, DatasetTable):
        used = {n: plan.stands_for(n) for row in table.rows for n in row.datasets}
        parts.append(f"Mode {plan.config.mode}.")
        parts += [f"{new} stands in for {old}." for old, new in used.items() if new != old]
        sources = {n: plan.lungs_in_words(n) for n in used.values() if n in plan.table_datasets(table)}
        parts.append("Lung masks: " + ", ".join(f"{n} {source}" for n, source in sources.items()) + ".")
    else:
        runs = [plan.run(run) for run in plan.table_runs(paper, table)]
        parts.append(f"Mode {plan.config.mode}, preset {plan.preset_name}, protocol {table.protocol}.")
        specs = [run.spec for run in runs]
        data = dict.fromkeys(
            f"{spec.dataset}, split {spec.split}, lung masks {plan.lungs_in_words(spec.dataset)}" for spec in specs
        )
        parts.append(f"Data: {'; '.join(data)}.")
        parts += [leak_finding(plan, *checked) for checked in plan.table_leaks(paper, table)]
        parts += differences(plan, runs)
        released = {run.id: run.released for run in runs if run.released}
        parts += [f"{run} follows the released code in: {', '.join(names)}." for run, names in released.items()]
        parts.append("Ours: mean over test slices, ± standard deviation over folds and seeds.")
        if any(len(run.spec.classes) > 1 for run in runs):
            parts.append(
                "Each pixel belongs to the most probable of background and classes; average: over slices and classes."
            )
        protocol = plan.protocol(table.protocol)
        for column, key in table.metrics.items():
            if protocol.metrics[key].not_comparable:
                parts.append(f"{column}: {protocol.metrics[key].not_comparable}.")
    return " ".join(part.rstrip(".") + "." for part in [*parts, *table.notes])


def leak_finding(plan: Plan, dataset: str, split: str) -> str:
    """Return what the leak check found, named by data set where the plan has several."""
    path = need(plan.paths.leaks(dataset, split, "json"), f"leaks {dataset} {split}")
    text = str(json.loads(path.read_text())["finding"])
    return text if len(plan.leak_sets()) == 1 else text.replace("Leaks:", f"Leaks of {dataset}, split {split}:", 1)


def differences(plan: Plan, runs: list[Run]) -> list[str]:
    """Return sentences that say how runs differ from the paper: what all share, then what only some have."""
    caveats = {run.id: plan.caveats(run) for run in runs}
    scaled = {change for run in runs for change in run.scaled}
    everything = list(dict.fromkeys(caveat for found in caveats.values() for caveat in found))
    common = [caveat for caveat in everything if all(caveat in found for found in caveats.values())]
    everywhere = [("", caveat) for caveat in common]
    said = everywhere + [(f"{run} ", c) for run, found in caveats.items() for c in found if c not in common]
    other = [run + caveat for run, caveat in said if caveat not in scaled]
    preset = [run + caveat for run, caveat in said if caveat in scaled]
    sentences = [f"Differs from the paper: {'; '.join(other)}."] if other else []
    return sentences + ([f"Preset {plan.preset_name} changes {', '.join(preset)}."] if preset else [])
