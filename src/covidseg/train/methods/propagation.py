"""Label propagation: a few slices of a pool get soft labels, are learned with all before them, and so on to the end.

Inf-Net (Fan et al., IEEE TMI 39(8), 2020), algorithm 1, which makes Semi-Inf-Net. ``first`` trains on the labelled
slices; the blocks do the steps; ``pretrain`` trains a new model on what was labelled; the last job refines it on the
labelled slices. Nothing here imports torch before there is something to compute.
"""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from covidseg.base import files, records
from covidseg.jobs import record
from covidseg.schema.base import Finite, Positive
from covidseg.schema.training import Pool, Start, Training
from covidseg.train.job import Job, Progress
from covidseg.train.stages import Rows, folder, pool_of, take_over

if TYPE_CHECKING:
    from covidseg.train.pseudo import Soft

LABELS = "labels.h5"
STEPS, PRETRAIN, FINETUNE = (1,), (2,), (3,)  # streams of random numbers; the first training has that of any other


class Propagation(Training):
    """Label propagation in small steps, then training on what was labelled (Inf-Net, algorithm 1: Semi-Inf-Net).

    A model of the labelled slices labels the next ``k`` slices of the shuffled pool, softly and for good, and learns
    from all that have labels by then; and so on. A new model learns the pseudo-labelled slices with the settings of
    any training, ``epochs``, ``batch``, ``optimizer``; at last the labelled ones refine it, ``finetune_``. The first
    model learned with the settings of the last: section III-E trains Inf-Net as it refines Semi-Inf-Net.
    """

    EPOCHS: ClassVar[tuple[str, ...]] = ("epochs", "step_epochs", "finetune_epochs")
    BATCHES: ClassVar[tuple[str, ...]] = ("batch", "step_batch", "finetune_batch")
    RATES: ClassVar[tuple[str, ...]] = ("step_lr", "finetune_lr")
    ONE_CLASS: ClassVar[bool] = True

    method: Literal["propagation"]
    pool: Pool
    k: Positive = Field(5, description="Slices that a step labels.")
    steps: Positive | None = Field(None, description="At most so many; null: until the pool is used up.")
    step_epochs: Positive = 10
    step_batch: Positive = 16
    step_lr: Finite = Field(3e-4, gt=0, description="Of all steps, without decay.")
    blocks: int = Field(8, ge=1, le=99, description="Jobs that the steps are cut into, of ten steps or more.")
    with_labelled: bool = Field(False, description="The labelled slices are learned with the pseudo-labelled ones.")
    finetune_epochs: Positive = 100
    finetune_batch: Positive = 16
    finetune_lr: Finite = Field(1e-4, gt=0)
    start: Start = Field(None, description="Supervised run with equal settings, whose model is the first.")

    @property
    def stages(self) -> list[str]:
        """Return first, block1, block2, ..., pretrain; the last job refines."""
        blocks = min(self.blocks, -(-self.steps // 10)) if self.steps else self.blocks
        return ["first", *(f"block{b}" for b in range(1, blocks + 1)), "pretrain"]

    @property
    def on_labelled(self) -> Propagation:
        """Return the settings of the first training and of the last."""
        optimizer = self.optimizer.model_copy(update={"lr": self.finetune_lr, "restart": None})
        changes = {"epochs": self.finetune_epochs, "batch": self.finetune_batch, "optimizer": optimizer}
        return self.model_copy(update=changes)

    @property
    def most_epochs(self) -> int:
        """Return the epochs of the longest job; without a number of steps it has the 320 of the paper."""
        steps = -(-(self.steps or 320) // (len(self.stages) - 2))
        return max(self.epochs, self.finetune_epochs, steps * self.step_epochs)


def order(pool: Rows, k: int, steps: int | None, random: np.random.Generator) -> Rows:
    """Return the slices of the pool in the order of their labelling, k a step: each once, at most k x steps."""
    return random.permutation(pool)[: k * steps if steps else None]


def ends(slices: int, k: int) -> list[int]:
    """Return how many slices have pseudo labels after each step of k; the last step may have fewer."""
    return [min(start + k, slices) for start in range(0, slices, k)]


def part(steps: int, blocks: int, block: int) -> range:
    """Return the steps of a block, 1 the first: all have equally many, but for the last ones."""
    each = -(-steps // blocks)
    return range(min((block - 1) * each, steps), min(block * each, steps))


def stage(job: Job, name: str, progress: Progress) -> dict[str, Any]:
    """Do one of the jobs before the last, in its folder, and return the facts for its record."""
    out = folder(job.out, name)
    if name == "first":
        if start := job.references.get("start"):
            return {"passed": False, **take_over(start.out, out)}
        return {"passed": False, **_first(replace(job, out=out), progress)}
    if name == "pretrain":
        return {"passed": False, **_pretrain(replace(job, out=out, stream=PRETRAIN), progress)}
    return _block(replace(job, out=out), int(name.removeprefix("block")), progress)


def train(job: Job, progress: Progress) -> dict[str, Any]:
    """Refine the pre-trained model on the labelled slices, predict the test slices, return the facts of all jobs."""
    from covidseg.train import fitting
    from covidseg.train.predict import write_predictions

    start = time.perf_counter()
    settings = _settings(job)
    before = folder(job.out, "pretrain")
    phase = _with(job, FINETUNE, settings.on_labelled)
    loader, rows = _loader(job)
    model = files.sha256(before / "model.safetensors")
    fit = fitting.learn(phase, loader, rows["train"], rows["val"], progress, model, before=before)
    write_predictions(fit.model, loader, rows["test"], job.spec.classes, job.out / "predictions.h5")
    fit.resume.remove()
    done = {name: record.read(folder(job.out, name) / record.STAGE) for name in settings.stages}
    facts = fitting.facts(fit, start)
    blocks = [made for name, made in done.items() if name.startswith("block") and not made["passed"]]
    steps, labelled, pool = sum(len(made["steps"]) for made in blocks), blocks[-1]["pseudo"], blocks[-1]["pool"]
    said = f"{steps} steps of label propagation: {labelled} of {pool} unlabelled slices"
    return facts | {
        "slices": {role: len(found) for role, found in rows.items()},
        "seconds": round(facts["seconds"] + sum(made.get("seconds", 0) for made in done.values()), 2),
        "resumed": facts["resumed"] or any(made.get("resumed", False) for made in done.values()),
        "notes": [*facts["notes"], said],
        "pool": pool,
        "pseudo": labelled,
        "steps": steps,
    }


def _settings(job: Job) -> Propagation:
    assert isinstance(job.spec.train, Propagation)
    return job.spec.train


def _with(job: Job, stream: tuple[int, ...], settings: Propagation) -> Job:
    """Return the job of one training with settings and random numbers of its own."""
    return replace(job, spec=job.spec.model_copy(update={"train": settings}), stream=stream)


def _loader(job: Job, *more: Soft) -> tuple[Any, dict[str, Rows]]:
    """Return the loader of the labelled slices and more, and the labelled rows by role."""
    from covidseg.data import tensors
    from covidseg.train.device import prepare
    from covidseg.train.loader import SliceLoader, Slices, rows_by_role

    loaded = tensors.load(job.tensors)
    sources = [Slices(loaded, job.class_values), *more]
    loader = SliceLoader(sources, job.spec.input.mode, prepare(job.device, job.spec.threads, job.spec.precision))
    return loader, rows_by_role(job, loaded)


def _first(job: Job, progress: Progress) -> dict[str, Any]:
    """Train on the labelled slices, as a supervised run with these settings does."""
    from covidseg.train import fitting

    start = time.perf_counter()
    loader, rows = _loader(job)
    first = _with(job, job.stream, _settings(job).on_labelled)
    fit = fitting.learn(first, loader, rows["train"], rows["val"], progress)
    fit.resume.remove()
    return fitting.facts(fit, start) | {"labelled": len(rows["train"]), "pseudo": 0}


def _block(job: Job, number: int, progress: Progress) -> dict[str, Any]:
    """Do the steps of one block, from the model of the stage before."""
    start = time.perf_counter()
    settings, main = _settings(job), job.out.parent.parent
    loaded, pool, _ = pool_of(job, settings.pool)
    rows = order(pool, settings.k, settings.steps, replace(job, stream=STEPS).random(-1))
    after = ends(len(rows), settings.k)
    steps = part(len(after), len(settings.stages) - 2, number)
    if not steps:
        return {"passed": True}

    import torch

    from covidseg.train import fitting
    from covidseg.train.device import place
    from covidseg.train.hybrid import Hybrid, write_soft
    from covidseg.train.predict import load_model, save_model
    from covidseg.train.pseudo import Soft
    from covidseg.train.resume import Resume

    earlier = [folder(main, f"block{b}") for b in range(1, number)]
    shape = (after[steps[-1]], *loaded.image.shape[1:])
    soft = Soft(loaded, rows[: shape[0]], np.zeros(shape, np.uint8), job.lung_masks)
    known = _join(soft, earlier)
    loader, roles = _loader(job, soft)
    before = [folder(main, "first"), *earlier][-1]
    optimizer = settings.optimizer.model_copy(update={"lr": settings.step_lr, "step": 0, "restart": None})
    step = {"epochs": settings.step_epochs, "batch": settings.step_batch, "optimizer": optimizer}
    phase = _with(job, STEPS, settings.model_copy(update=step))
    paths = [before / "model.safetensors", *(path / LABELS for path in earlier)]
    identity = phase.identity(loader.device.type, torch.__version__, *map(files.sha256, paths))
    model = place(load_model(before, job.spec), loader.device)
    fit = Hybrid(phase, model, loader, roles["train"], after, steps, Resume(job.out, identity))
    fit.run(progress)
    save_model(model, job.spec, job.out / "model.safetensors")
    write_soft(soft, known, job.out / LABELS)
    fit.resume.remove()
    facts = fitting.facts(fit, start) | {"labelled": len(roles["train"]), "pseudo": shape[0], "pool": len(pool)}
    return {"passed": False, **facts, "epochs": len(steps) * settings.step_epochs, "steps": fit.lines}


def _pretrain(job: Job, progress: Progress) -> dict[str, Any]:
    """Train a new model on the pseudo-labelled slices and, where the settings say so, the labelled ones."""
    from covidseg.train import fitting
    from covidseg.train.pseudo import Soft

    start = time.perf_counter()
    settings, main = _settings(job), job.out.parent.parent
    made = [(path, record.read(path / record.STAGE)) for name in settings.stages[1:-1] if (path := folder(main, name))]
    blocks = [path for path, facts in made if not facts["passed"]]
    loaded, pool, _ = pool_of(job, settings.pool)
    rows = order(pool, settings.k, settings.steps, replace(job, stream=STEPS).random(-1))
    labels = np.zeros((len(rows), *loaded.image.shape[1:]), np.uint8)
    soft = Soft(loaded, rows, labels, job.lung_masks)
    _join(soft, blocks)
    loader, roles = _loader(job, soft)
    pseudo = len(loader.sources[0]) + np.arange(len(soft))
    learned = np.concatenate([roles["train"], pseudo]) if settings.with_labelled else pseudo
    hashes = (files.sha256(path / LABELS) for path in blocks)
    fit = fitting.learn(job, loader, learned, roles["val"], progress, *hashes)
    fit.resume.remove()
    labelled = len(roles["train"]) if settings.with_labelled else 0
    return fitting.facts(fit, start) | {"labelled": labelled, "pseudo": len(pseudo)}


def _join(soft: Soft, blocks: list[Path]) -> int:
    """Put the labels of blocks in their places; return how many there are. Raises UserError for a file of another
    order.
    """
    from covidseg.train.pseudo import read_labels

    at = 0
    for path in blocks:
        index, labels = read_labels(path / LABELS)
        if index.tolist() != soft.index[at : at + len(index)].tolist():
            raise records.damaged(path / LABELS, "of other slices")
        labels.read_direct(soft.labels, dest_sel=np.s_[at : at + len(index)])
        at += len(index)
    return at
