"""Scores of predictions under the protocols, and the reading of predictions.

``protocols`` lists the metric conventions, ``protocol`` reads one, ``score_arrays`` scores one scan or slice under it,
and ``score_folders`` folders of files.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from covidseg.base.errors import UserError, nearest
from covidseg.base.shipped import settings

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from covidseg.schema import Protocol

__all__ = ["protocol", "protocols", "score_arrays", "score_folders"]


def protocols() -> list[str]:
    """Return the names of all protocols: the checkout's, elsewhere those that came with the package."""
    return sorted(path.stem for path in settings("protocols").glob("*.yaml"))


def protocol(name: str | Path) -> Protocol:
    """Return a protocol by its name, or from a YAML file of one's own.

    Raises UserError when there is none of that name, for a damaged file and for a measure that does not exist.
    """
    from covidseg.evaluate.score import check_measures
    from covidseg.schema import Protocol, load

    path = Path(name)
    if path.suffix != ".yaml":
        if str(name) not in protocols():
            remedy = f"{nearest(str(name), protocols())}; or name a file that ends in .yaml"
            raise UserError(f"unknown protocol {str(name)!r}; {remedy}")
        path = settings("protocols") / f"{name}.yaml"
    found = load(Protocol, path)
    check_measures(found, str(path))
    return found


def score_arrays(
    protocol: str | Path | Protocol,
    truth: ArrayLike,
    prediction: ArrayLike,
    spacing: tuple[float, float, float] | None = None,
) -> dict[str, float]:
    """Return the metrics of a protocol for one scan (S, H, W) or one slice (H, W).

    ``protocol`` is one, its name or its file. ``truth`` holds 0 and 1, ``prediction`` the same or probabilities as
    float in 0..1. ``spacing`` is (dz, dy, dx) in mm; without it lengths are in pixels. The values are over the
    protocol's unit: a mean over slices, or those of the case; NaN where a metric has none. Raises UserError for arrays
    that are no masks or do not fit together.
    """
    from covidseg.evaluate import arrays

    return arrays.score(_of(protocol), truth, prediction, spacing)


def score_folders(protocol: str | Path | Protocol, truth: Path, pred: Path, out: Path) -> dict[str, Any]:
    """Score a folder of predictions against a folder of masks with equal names, PNG, JPEG or NIfTI; return the summary.

    Writes ``cases.csv``, ``summary.json`` and what else the protocol gives into ``out``. Raises UserError.
    """
    from covidseg.evaluate import score

    return score.score_folders(_of(protocol), truth, pred, out)


def _of(given: str | Path | Protocol) -> Protocol:
    return read(given) if isinstance(given, str | Path) else given


read = protocol  # under a name that no argument hides
