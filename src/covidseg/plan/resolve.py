"""The steps that resolve a run: choose between described and released settings, merge overrides, apply a preset."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from covidseg.base.errors import UserError, nearest
from covidseg.schema import Deviation, Follow, Paper, Preset, RunSpec, load, parse


def merge(base: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    """Return ``base`` overridden by ``own``, recursively. A network of another name starts from no options."""
    out = dict(base)
    for key, value in own.items():
        below = out.get(key)
        if isinstance(value, dict) and isinstance(below, dict) and not (key == "net" and _renamed(below, value)):
            value = merge(below, value)
        out[key] = value
    return out


def _renamed(below: dict[str, Any], own: dict[str, Any]) -> bool:
    return "name" in own and own["name"] != below.get("name")


def described_or_released(
    paper: Paper, follow: Any, where: str, run: str | None = None
) -> tuple[dict[str, Any], list[str]]:
    """Return a paper's defaults with a value for every deviation, and the deviations that follow the released code.

    ``run`` selects the deviations of one run; None, those that hold for all runs.
    """
    deviations = {name: d for name, d in paper.deviations.items() if d.runs is None or run in d.runs}
    choice: dict[str, Follow] = follow if isinstance(follow, dict) else dict.fromkeys(deviations, follow)
    for name, value in choice.items():
        if name not in deviations:
            raise UserError(f"{where}.follow: unknown deviation {name!r}; {nearest(name, deviations)}")
        if value not in ("described", "released"):
            raise UserError(f"{where}.follow: unknown value {value!r}; legal: described, released")
    raw = copy.deepcopy(paper.defaults)
    released = []
    for name, deviation in deviations.items():
        taken = choice.get(name, "described")
        _set(raw, deviation, taken, where)
        if taken == "released":
            released.append(name)
    return raw, released


def reference(net: str, follow: Follow, papers: Path) -> RunSpec | None:
    """Return the settings of the paper that brought a network, wholly described or wholly released; None without one.

    ``papers`` is the folder of the paper files. It is the first paper whose default network it is; papers that name
    deviations of their released code go first. Raises UserError for a damaged paper file.
    """
    read = {path: load(Paper, path) for path in sorted(papers.glob("*.yaml"))}
    for path, paper in sorted(read.items(), key=lambda item: not item[1].deviations):
        if paper.defaults.get("net", {}).get("name") == net:
            where = f"{path}: defaults"
            return parse(RunSpec, described_or_released(paper, follow, where)[0], where)
    return None


def _set(raw: dict[str, Any], deviation: Deviation, follow: Follow, where: str) -> None:
    *parents, last = deviation.key.split(".")
    for part in parents:
        raw = raw.setdefault(part, {})
        if not isinstance(raw, dict):
            raise UserError(f"{where}: deviation key {deviation.key!r}: {part!r} holds no keys")
    raw[last] = copy.deepcopy(getattr(deviation, follow))


def scale(spec: RunSpec, preset: Preset) -> tuple[RunSpec, list[str]]:
    """Apply a preset; return the scaled spec and the changes in words."""
    raw = spec.model_dump()
    if preset.size:
        size = raw["input"]["size"] = min(preset.size, spec.input.size)
        if "levels" in raw["net"]:  # a slice half as large is halved once less
            raw["net"]["levels"] = max(3, raw["net"]["levels"] - round(math.log2(spec.input.size / size)))
    if width := preset.width_of(spec.net["name"]):
        raw["net"]["width"] = width * spec.net.get("width", 1.0)
    train, optimizer = raw["train"], raw["train"]["optimizer"]
    restart = [optimizer["restart"]] if "restart" in optimizer else []
    counted = [*((train, key) for key in spec.train.EPOCHS), (optimizer, "step"), *((r, "epoch") for r in restart)]
    counted += [(options, "from_epoch") for options in raw["losses"].values() if "from_epoch" in options]
    factor = _factor(max(train[key] for key in spec.train.EPOCHS), preset)
    for owner, key in counted:
        owner[key] = _scaled(owner[key], factor)
    if restart and restart[0]["epoch"] >= train["epochs"]:
        del optimizer["restart"]
    rates = [(optimizer, "lr"), *((train, key) for key in spec.train.RATES), *((r, "lr") for r in restart)]
    for owner, key in rates:
        owner[key] = min(owner[key] * preset.lr, preset.lr_most or math.inf)
    optimizer["step"] = optimizer["step"] if preset.step is None else preset.step
    for key in spec.train.BATCHES:
        train[key] = preset.batch or train[key]
    for key in ("accumulate", "validate_every", "slices_per_epoch"):
        value = getattr(preset, key)
        train[key] = value if value is not None else train[key]
    if preset.scales and len(spec.train.scales) > 1:
        raw["train"]["scales"] = preset.scales
    for key in ("rounds", "steps"):
        if (most := getattr(preset, key)) and key in train:
            train[key] = min(most, train[key] or most)
    scaled = parse(RunSpec, raw, f"preset ({preset.about})")
    return scaled, list(_differences(spec.model_dump(), scaled.model_dump()))


def scale_maps(spec: RunSpec, preset: Preset) -> tuple[RunSpec, list[str]]:
    """Return the spec of a run of the authors' maps with the image size of the scaled runs that it is compared with.

    Their tensors determine the test slices. The maps keep their own size, so there is no change to report.
    """
    size = min(preset.size or spec.input.size, spec.input.size)
    return spec.model_copy(update={"input": spec.input.model_copy(update={"size": size})}), []


def _factor(epochs: int, preset: Preset) -> float:
    """Return the factor on all settings counted in epochs; ``epochs`` is the length of the longest part."""
    if preset.most_epochs and epochs * preset.epochs > preset.most_epochs:
        return preset.most_epochs / epochs
    return preset.epochs


def _scaled(epochs: int, factor: float) -> int:
    return max(1, round(epochs * factor)) if epochs > 0 else epochs


def _differences(before: Any, after: Any, path: str = "") -> Iterator[str]:
    if isinstance(before, dict) and isinstance(after, dict):
        for key in after:
            yield from _differences(before.get(key, 1), after[key], f"{path}.{key}" if path else key)
        yield from (f"{path}.{key} left out" for key in before if key not in after)
    elif before != after:
        yield f"{path} {_in_words(before)} to {_in_words(after)}"


def _in_words(value: Any) -> str:
    if value is None:
        return "all"
    return f"{value:g}" if isinstance(value, float) else str(value)
