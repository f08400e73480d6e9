"""Names of things and where they are looked up: the folder ``workflow``, the ids of runs, unknown names."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from covidseg.base.errors import UserError, nearest
from covidseg.base.shipped import WORKFLOW

SUPPORT = "lungmask"  # a paper file without tables: the models that make lung masks
STANDARD = "standard"  # the protocol under which every prediction is scored, besides its table's own


def in_project() -> None:
    """Raise UserError unless the current folder is a checkout."""
    if not WORKFLOW.is_dir():
        raise UserError(
            "no folder 'workflow' here; run this in a checkout of covidseg"
            " (predict, params, score of folders and lungs of scans work anywhere)"
        )


def stems(folder: Path, suffix: str = "yaml") -> list[str]:
    """Return the names of a folder's files without their suffix, sorted."""
    return sorted(path.stem for path in folder.glob(f"*.{suffix}"))


def file_of(kind: str, name: str, what: str, where: str) -> Path:
    """Return the YAML file of a name in a folder of ``workflow``; ``kind`` is the folder, as ``papers``.

    Raises UserError for an unknown name; ``where`` is the place that uses it, ``what`` the noun for such a thing.
    """
    path = WORKFLOW / kind / f"{name}.yaml"
    if not path.is_file() or Path(name).name != name:
        in_project()
        raise UserError(f"{where}: unknown {what} {name!r}; {nearest(name, stems(WORKFLOW / kind))}")
    return path


def check_known(names: Iterable[Any], legal: Iterable[Any], where: str) -> None:
    """Raise UserError for the first of the names that is not legal."""
    legal = list(legal)
    for name in names:
        if name not in legal:
            raise UserError(f"{where}: unknown name {name!r}; {nearest(name, legal)}")


def qualified(paper: str, run: str) -> str:
    """Return the id of a run, ``paper/run``: a bare name belongs to the paper whose file uses it."""
    return run if "/" in run else f"{paper}/{run}"


def masks_id(run: str, dataset: str | None = None) -> str:
    """Return the name of a run's masks: its id, followed by ``@dataset`` where the scans are another data set's."""
    return f"{run}@{dataset}" if dataset else run


def fingerprint_of(value: Any) -> str:
    """Return 16 hex digits of the sha256 of a JSON value."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]
