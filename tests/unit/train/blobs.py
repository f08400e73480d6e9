"""A tiny data set: bright discs in dark lungs on noise, cut into train, val and test cases. Also a command that trains
on it in processes that kill themselves, for the tests of resuming: ``python blobs.py DATA OUT batch:7 resume.pt:3``."""

from __future__ import annotations

import csv
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from covidseg.base import records
from covidseg.data.tensors import COLUMNS
from covidseg.schema import RunSpec
from covidseg.train import Job, resume, run

if TYPE_CHECKING:
    import pytest

ROLES = ("train",) * 4 + ("val", "test")
PER_CASE = 6
SPEC: dict[str, Any] = {
    "dataset": "blobs",
    "split": "blobs",
    "classes": ["lesion"],
    "input": {"size": 32, "mode": "slice+lung"},
    "net": {"name": "ssanet", "width": 0.125},
    "losses": {"dice": {}, "self_attention": {"weight": 0.1, "from_epoch": 2}},
    "train": {"epochs": 4, "batch": 5, "accumulate": 2, "optimizer": {"lr": 3e-3, "step": 3}},
}


def make(folder: Path, size: int = 32) -> Path:
    """Write tensors and ``split.csv`` (fold 0: val and test cases; fold 1: no val)."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(5)
    n = len(ROLES) * PER_CASE
    y, x = np.mgrid[:size, :size]
    image = rng.normal(60, 12, (n, size, size))
    lung, label = (np.zeros((n, size, size), np.uint8) for _ in range(2))
    for i in range(n):
        cy, cx = rng.uniform(0.35, 0.65, 2) * size
        lung[i] = (y - size / 2) ** 2 + (x - size / 2) ** 2 < (0.42 * size) ** 2
        label[i] = (y - cy) ** 2 + (x - cx) ** 2 < (rng.uniform(0.1, 0.2) * size) ** 2
        image[i] += 70 * label[i] - 30 * lung[i]
    for name, array in (("image", image.clip(0, 255).astype(np.uint8)), ("lung", lung), ("label", label)):
        np.save(folder / f"{name}.npy", array)
    with open(folder / "slices.csv", "w", newline="") as f:
        writer = csv.DictWriter(f, COLUMNS)
        writer.writeheader()
        for i in range(n):
            case, position = f"case{i // PER_CASE}", i % PER_CASE
            window = {"native_height": size, "native_width": size, "top": 0, "left": 0, "height": size, "width": size}
            where = {"index": i, "slice": f"{case}/{position:03d}", "case": case, "patient": case, "position": position}
            writer.writerow(where | window | {"role": "labelled"})
    lines = ["fold,case,role", *(f"0,case{i},{role}" for i, role in enumerate(ROLES))]
    lines += [f"1,case{i},{role}" for i, role in enumerate(ROLES) if role != "val"]
    (folder / "split.csv").write_text("\n".join(lines) + "\n")
    records.write(
        folder / "tensors.json",
        [folder / f"{name}.npy" for name in ("image", "lung", "label")] + [folder / "slices.csv"],
    )
    return folder


def job(data: Path, out: Path, fold: int = 0, seed: int = 0, class_values: Any = None, **changes: Any) -> Job:
    """Return a job of SPEC with some top-level keys changed."""
    spec = RunSpec.model_validate(SPEC | changes)
    values = class_values or {name: (1,) for name in spec.classes}
    return Job(spec, fold, seed, data, data / "split.csv", out, values, "cpu")


def quiet(done: float, total: float, text: str) -> None:
    """Say nothing."""


def states_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let trainings write their state as often as they can, whatever it costs."""
    monkeypatch.setattr(resume, "SECONDS", 0.0)
    monkeypatch.setattr(resume, "SHARE", float("inf"))


def die_at(event: str, count: int) -> None:
    """Kill this process at the ``count``-th time that it begins a ``batch``, or would put a file named so in place."""
    left = count

    def counted(name: str) -> None:
        nonlocal left
        left -= name == event
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)

    replace = os.replace

    def replacing(source: Any, target: Any) -> None:
        counted(Path(target).name)
        replace(source, target)

    os.replace = replacing
    Loop._step, step = lambda self, *args: (counted("batch"), step(self, *args)), Loop._step  # type: ignore


def main(data: str, out: str, *points: str) -> None:
    """Train in one process after another, each killed at its point, writing the resume state as often as possible."""
    resume.SECONDS, resume.SHARE = 0.0, float("inf")
    for point in points:
        child = os.fork()
        if not child:
            event, count = point.split(":")
            die_at(event, int(count))
            run(job(Path(data), Path(out)), quiet)
            os._exit(0)
        if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) != -signal.SIGKILL:
            sys.exit(f"{point}: was not killed")


if __name__ == "__main__":
    import torch  # noqa: F401 (once, not in every child)

    from covidseg.train.loop import Loop

    main(*sys.argv[1:])
