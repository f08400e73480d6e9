"""From a finished run to a model that can be exported."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from covidseg.base import records
from covidseg.base.files import need, sha256
from covidseg.data.canonical import Store, read_table
from covidseg.inference.masks import mask_values
from covidseg.inference.model import LUNGS, Intensities, Model, Network, Settings
from covidseg.jobs import record
from covidseg.lungs import source
from covidseg.plan import Plan, Run
from covidseg.schema import LungSource, RunSpec
from covidseg.upkeep.freshness import scores_problem, usable_model

if TYPE_CHECKING:
    from torch import Tensor


def model_of(plan: Plan, run: Run) -> Model:
    """Return a run's trained models of all folds and seeds as one.

    Raises UserError when a training is missing or not today's row's.
    """
    spec, dataset = run.spec, plan.dataset(run.spec.dataset)
    weights: dict[str, Tensor] = {}
    for k, job in enumerate(run.jobs):
        weights |= _weights(plan, run, *job, f"member{k}.")
    prior = run.references.get("prior")
    guide = plan.run(prior.run) if prior else None
    for k, job in enumerate(run.jobs):
        weights |= _weights(plan, guide, *job, f"prior{k}.") if guide else {}
    lungs, caveats = _lungs(spec.lungs)
    helper = plan.run(id_) if (id_ := source(lungs)["run"]) else None
    if helper is not None:
        weights |= _weights(plan, helper, *helper.jobs[0], f"{LUNGS}.")
    settings = Settings(
        run=run.id,
        network=_network(spec),
        prior=_network(guide.spec) if guide else None,
        members=len(run.jobs),
        labels=mask_values(plan, run),
        window=dataset.window,
        crop=dataset.crop.size if dataset.crop else None,
        lungs=lungs,
        lung_network=_network(helper.spec) if helper else None,
        intensities=_intensities(plan, run),
        phantoms=plan.config.mode == "demo",
        caveats=[*plan.resolver.caveats(run), *caveats],
        data=_data(plan, run),
        scores=_scores(plan, run),
        versions=record.versions(),
        spec=spec.model_dump(mode="json"),
    )
    return Model.of(settings, weights)


def _network(spec: RunSpec) -> Network:
    return Network(net=spec.net, input=spec.input, classes=spec.classes)


def _weights(plan: Plan, run: Run, fold: int, seed: int, prefix: str) -> dict[str, Tensor]:
    from covidseg.train.predict import load_model

    model = load_model(usable_model(plan, run, fold, seed).parent, run.spec)
    return {f"{prefix}{name}": tensor.contiguous() for name, tensor in model.state_dict().items()}


def _lungs(own: LungSource) -> tuple[LungSource, list[str]]:
    """Return how the lung masks of new scans are made, and what a reader must know of it."""
    if own != "labels":
        return own, []
    said = "trained with drawn lung masks; those of new scans are made by threshold"
    return "threshold", [said]


def _intensities(plan: Plan, run: Run) -> Intensities:
    """Return whether the training scans came as Hounsfield units or as 8-bit slices."""
    with Store(plan.paths.canonical(run.spec.dataset)) as store:
        kinds = {store.attrs(case).get("hu") for case in store.cases()}
    if None in kinds:
        return "unknown"
    return "both" if len(kinds) > 1 else "hu" if kinds.pop() else "8-bit"


def _data(plan: Plan, run: Run) -> dict[str, Any]:
    """Return what a model was trained on: title, licence, numbers and hashes; no name of a case."""
    dataset, folder = plan.dataset(run.spec.dataset), plan.paths.canonical(run.spec.dataset)
    cases = {row["case"]: row["role"] for row in read_table(folder / "slices.csv")}
    roles = list(cases.values())
    return {
        "name": run.spec.dataset,
        "title": dataset.title,
        "licence": dataset.licence,
        "phantoms": plan.config.mode == "demo",
        "cases": {role: roles.count(role) for role in sorted(set(roles))},
        "folds": len(run.folds),
        "sha256": {
            "import": sha256(need(folder / "import.json", f"import {run.spec.dataset}")),
            "split": sha256(need(plan.catalogue.split_path(run.spec.split), f"split {run.spec.split}")),
        },
    }


def _scores(plan: Plan, run: Run) -> dict[str, Any]:
    """Return the run's scores on its test cases, protocol -> class -> metric; none where they are not today's."""
    summary = plan.paths.run(run.id) / "summary.json"
    if not summary.is_file() or scores_problem(plan, run):
        return {}
    means: dict[str, Any] = records.read(summary)["means"]
    return means
