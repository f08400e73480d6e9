"""External inputs of a plan: the origin and licence of each data set and each file of weights."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

from covidseg.base.errors import UserError
from covidseg.plan import Plan
from covidseg.schema import Source


@dataclass(frozen=True)
class Supply:
    """One data set or file of weights: whether it is in place, whether it can be obtained, and a description."""

    there: bool
    possible: bool
    words: str


def supplies(plan: Plan) -> Iterator[Supply]:
    """Yield what the plan's runs need from outside; nothing in demo mode, which makes its own."""
    if plan.config.mode == "demo":
        return
    for name in plan.graph.all_datasets():
        dataset = plan.dataset(name)
        if not dataset.joins and dataset.folder is None and plan.catalogue.files_of(name) == name:
            yield _dataset(plan, name)
    yield from _unpublished(plan)
    for url in dict.fromkeys(_weights(plan)):
        file = url.rpartition("/")[2]
        mirrors = (
            [plan.catalogue.mirror / file, plan.catalogue.mirror / "weights" / file] if plan.catalogue.mirror else []
        )
        if (plan.config.data / "weights" / file).is_file():
            yield Supply(True, True, f"{file}: in place")
        elif any(path.is_file() for path in mirrors):
            yield Supply(False, True, f"{file}: in the mirror")
        else:
            yield Supply(False, True, f"{file}: to be downloaded from {urlsplit(url).netloc}")


def _dataset(plan: Plan, name: str) -> Supply:
    dataset, mirror = plan.dataset(name), plan.catalogue.mirror
    if (plan.paths.raw(name) / "fetched.json").is_file():
        return Supply(True, True, f"{name}: in place")
    lacking = [source for source in dataset.sources if not (mirror and (mirror / name / source.name).exists())]
    if not lacking:
        return Supply(False, True, f"{name}: in the mirror")
    if closed := [source.name for source in lacking if not source.urls and not source.optional]:
        return Supply(False, False, f"{name}: no public address; set mirror: to a folder that holds {name}/{closed[0]}")
    hosts = ", ".join(dict.fromkeys(_host(source, url) for source in lacking for url in source.urls))
    return Supply(False, True, f"{name}: to be downloaded from {hosts}; licence: {dataset.licence}")


def _host(source: Source, url: str) -> str:
    return "figshare.com" if url.startswith("figshare:") else urlsplit(url).netloc


def _unpublished(plan: Plan) -> Iterator[Supply]:
    """Yield the weights that only the mirror can give."""
    from covidseg.data import unpublished
    from covidseg.nets import published as encoders

    specs = [plan.run(run).spec for run in plan.graph.all_runs()]
    names = [encoders.encoder_of(spec.net) for spec in specs] + [
        getattr(spec.train, "saliency", None) for spec in specs
    ]
    for name in dict.fromkeys(name for name in names if name in unpublished.KNOWN):
        try:
            unpublished.find(name, plan.catalogue.mirror, plan.config.weights, "see config.yaml")
            yield Supply(True, True, f"{name}: in the mirror")
        except UserError as e:
            yield Supply(False, False, f"{name}: {e}")


def _weights(plan: Plan) -> Iterator[str]:
    """Yield the addresses of the published weights that encoders and lung masks start from."""
    from covidseg.nets import published as encoders

    for run in plan.graph.all_runs():
        if (encoder := encoders.encoder_of(plan.run(run).spec.net)) and encoder in encoders.WEIGHTS:
            yield encoders.WEIGHTS[encoder]
    for name in plan.graph.all_datasets():
        if (address := plan.catalogue.lung_source(name)["weights"]) is not None:
            yield address
