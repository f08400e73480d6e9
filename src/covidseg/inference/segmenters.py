"""What turns a scan's 8-bit slices into classes: an exported or finished model, or one of the lung segmentations."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from covidseg.base.errors import UserError
from covidseg.data.canonical import U8
from covidseg.inference.model import Intensities, Model

if TYPE_CHECKING:
    from covidseg.inference.scan import Member

Spacing = tuple[float, float, float]
Lungs = Callable[[U8, Spacing], U8]


@dataclass(frozen=True)
class Found:
    """A scan's class numbers (S, H, W); its lung mask; the 8-bit probabilities (K, S, H, W), where asked for."""

    classes: U8
    lung: U8 | None
    maps: U8 | None


@dataclass(frozen=True)
class Segmenter:
    """``labels``: class -> value in the masks. ``about`` is the line that every output carries, ``caveats`` what else
    a reader must know, ``sha256`` what was applied. ``segment(image, spacing, probabilities)`` does it.
    """

    name: str
    about: str
    sha256: str
    labels: dict[str, int]
    window: tuple[float, float] | None
    learned: Intensities
    caveats: list[str]
    segment: Callable[[U8, Spacing, bool], Found]


def of_model(model: Model, device: str, threads: int, weights: Path, mirror: Path | None) -> Segmenter:
    """Return the segmenter of a trained model.

    ``weights`` is the folder of the published lung network's weights, if the model needs one, ``mirror`` the folder
    that is asked before they are downloaded. Raises UserError when they cannot be had.
    """
    settings = model.settings
    members = model.members(device, threads)
    lungs = _lungs(settings.lungs, settings.window, model.lung_network(device, threads), device, weights, mirror)
    spec = settings.network.spec(threads)

    def segment(image: U8, spacing: Spacing, probabilities: bool) -> Found:
        from covidseg.inference.scan import predicted

        lung = lungs(image, spacing) if lungs else None
        maps = np.zeros((len(spec.classes), *image.shape), np.uint8) if probabilities else None
        return Found(predicted(image, lung, settings.crop, spec, members, maps), lung, maps)

    return Segmenter(
        name=settings.run,
        about=model.about,
        sha256=model.sha256,
        labels=settings.labels,
        window=settings.window,
        learned=settings.intensities,
        caveats=settings.caveats,
        segment=segment,
    )


def of_lungs(source: str, device: str, weights: Path, mirror: Path | None) -> Segmenter:
    """Return a segmenter of the lungs alone, by a source that works on any scan."""
    from covidseg import lungs as masks
    from covidseg.jobs.record import code_fingerprint
    from covidseg.lungs.threshold import WINDOW

    lungs = _lungs(source, WINDOW, None, device, weights, mirror)
    assert lungs is not None

    def segment(image: U8, spacing: Spacing, probabilities: bool) -> Found:
        if probabilities:
            raise UserError(f"{source} gives masks, no probabilities; leave --probabilities out")
        lung = lungs(image, spacing)
        return Found(lung, lung, None)

    address = masks.source(source)["weights"]
    identity = address.rpartition("/")[2] if address else code_fingerprint(f"lungs.sources.{source}")
    return Segmenter(source, f"covidseg {source}", identity, {"lung": 1}, WINDOW, "both", [], segment)


def _lungs(
    source: str,
    window: tuple[float, float] | None,
    network: Member | None,
    device: str,
    weights: Path,
    mirror: Path | None,
) -> Lungs | None:
    """Return what makes lung masks; None where the model needs none."""
    from covidseg.lungs import Request, predictor

    trained = None
    if network is not None:
        from covidseg.lungs.trained import predictor_of

        trained = predictor_of(network.model, network.spec, device)
    return predictor(source, Request(window, device, weights, mirror, trained))


def is_lung_model(name: str) -> bool:
    """Return whether a name is a source of lung masks that works on any scan."""
    from covidseg import lungs

    return name in lungs.names() and lungs.source(name)["any_scan"]


def weights_folder() -> Path:
    """Return where published weights are kept outside a checkout: the user's cache."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "covidseg" / "weights"
