"""Adversarial semi-supervision: unlabelled slices teach where a discriminator takes their segmentation for true.

Jin et al. (Information Sciences, 2022, section 3.4), after AdvSemiSeg (Hung et al., BMVC 2018). Supervised training
first; from ``from_epoch`` on each step learns a labelled and an unlabelled batch, and network and discriminator are
updated by turns.
"""

from __future__ import annotations

import functools
import time
from typing import Any, ClassVar, Literal

from pydantic import Field, ValidationInfo, field_validator

from covidseg.schema.base import Finite, Positive
from covidseg.schema.training import Pool, Training
from covidseg.train.job import Job, Progress
from covidseg.train.stages import pool_of


class Adversarial(Training):
    """Supervised, then with unlabelled slices and a discriminator in the same steps (Jin et al. 2022, section 3.4)."""

    EPOCHS: ClassVar[tuple[str, ...]] = ("epochs", "from_epoch")
    RATES: ClassVar[tuple[str, ...]] = ("discriminator_lr",)

    method: Literal["adversarial"]
    pool: Pool
    from_epoch: Positive = Field(description="The first epoch with the discriminator and the pool; 0 is the first.")
    semi: Finite = Field(0.1, ge=0, description="Weight of the cross entropy with pseudo labels on trusted pixels.")
    adversarial: Finite = Field(0.01, ge=0, description="Weight of the loss that wants the discriminator deceived.")
    trust: Finite = Field(0.2, ge=0, lt=1, description="A pixel is trusted whose confidence is above.")
    discriminator_lr: Finite = Field(1e-4, gt=0, description="Of Adam.")

    @field_validator("from_epoch")
    @classmethod
    def _within(cls, value: int, given: ValidationInfo) -> int:
        if value >= given.data.get("epochs", value + 1):
            raise ValueError(f"must be below train.epochs, {given.data['epochs']}, or the pool is never learned from")
        return value

    @property
    def leaves_unlabelled(self) -> bool:
        """Return whether targets hold pixels without a label: those of the pool that are not trusted."""
        return True


def train(job: Job, progress: Progress) -> dict[str, Any]:
    """Train network and discriminator, write the outputs and return the facts. See ``covidseg.train.run``.

    The predictions also hold ``confidence``, the discriminator's of each pixel, and ``reconstruction`` where the
    network reconstructs its input.
    """
    from covidseg.data import tensors
    from covidseg.train import fitting
    from covidseg.train.adversary import Adversary
    from covidseg.train.device import prepare
    from covidseg.train.loader import SliceLoader, Slices, rows_by_role
    from covidseg.train.predict import write_predictions

    start = time.perf_counter()
    assert isinstance(job.spec.train, Adversarial)
    loaded = tensors.load(job.tensors)
    rows = rows_by_role(job, loaded)
    unlabelled, pool, _ = pool_of(job, job.spec.train.pool)
    device = prepare(job.device, job.spec.threads, job.spec.precision)
    loader = SliceLoader([Slices(loaded, job.class_values)], job.spec.input.mode, device)
    more = SliceLoader([Slices(unlabelled, {}, job.lung_masks)], job.spec.input.mode, device)
    make = functools.partial(Adversary, unlabelled=more, pool=pool)
    fit = fitting.learn(job, loader, rows["train"], rows["val"], progress, make=make)
    assert isinstance(fit, Adversary)
    maps = {"confidence": fit.confidence, **({"reconstruction": fit.reconstruction} if fit.reconstructs else {})}
    write_predictions(fit.model, loader, rows["test"], job.spec.classes, job.out / "predictions.h5", maps)
    fit.resume.remove()
    facts = fitting.facts(fit, start)
    return facts | {
        "slices": {role: len(found) for role, found in rows.items()},
        "pool": len(pool),
        "discriminator_parameters": fit.adversary_flat.count,
        "trusted": fit.trusted,
        "notes": [*facts["notes"], *fit.remarks],
    }
