"""One resolved run, and what all parts of the plan share."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from covidseg.base.errors import UserError, nearest
from covidseg.schema import RunSpec

WORKFLOW = Path("workflow")
SUPPORT = "lungmask"  # a paper file without tables: the models that make lung masks
PHANTOM_LUNGS = f"{SUPPORT}/phantom"
STANDARD = "standard"  # the protocol under which every prediction is scored, besides its table's own


@dataclass(frozen=True)
class Run:
    """One resolved run of a paper, with the folds and seeds to make."""

    id: str
    spec: RunSpec
    folds: tuple[int, ...]
    all_folds: tuple[int, ...]
    seeds: tuple[int, ...]
    scaled: tuple[str, ...] = field(default=(), metadata={"what": "settings the preset changed"})
    stand_ins: tuple[tuple[str, str], ...] = ()  # (the paper's data set, the one used in its place)
    released: tuple[str, ...] = ()  # deviations that follow the released code

    @property
    def jobs(self) -> list[tuple[int, int]]:
        """Return (fold, seed) of every training."""
        return [(fold, seed) for fold in self.folds for seed in self.seeds]

    @property
    def hash(self) -> str:
        """Return the fingerprint of the resolved spec: what a result must have been made from."""
        return fingerprint_of(self.spec.model_dump(mode="json"))


def in_project() -> None:
    """Raise UserError where the settings of workflow/ are not at hand."""
    if not WORKFLOW.is_dir():
        raise UserError("no folder 'workflow' here; run covidseg in the project's folder")


def fingerprint_of(value: Any) -> str:
    """Return 16 hex digits of the sha256 of a JSON value."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def qualified(paper: str, run: str) -> str:
    """Return the id of a run: a bare name belongs to the paper that names it."""
    return run if "/" in run else f"{paper}/{run}"


def stems(folder: Path, suffix: str = "yaml") -> list[str]:
    """Return the names that a folder of files gives."""
    return sorted(path.stem for path in folder.glob(f"*.{suffix}"))


def check_known(names: Any, legal: Any, where: str) -> None:
    """Raise UserError for the first of the names that is not legal."""
    for name in names:
        if name not in legal:
            raise UserError(f"{where}: unknown name {name!r}; {nearest(name, legal)}")
