"""Self-training in rounds: each labels more of an unlabelled pool with the last model and trains a new one on it.

SSA-Net (Wang et al. 2022, section 3.3). Round 0 trains on the labelled slices. ``labels1`` lets its model label a
random part of the pool, ``round1`` trains on both, and so on; all pseudo labels are made anew each time. It is over
when the validation DSC no longer rises; what comes after passes at no cost, and the best round's model is kept.
Nothing here imports torch before there is something to compute.
"""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from covidseg.base import files
from covidseg.jobs import record
from covidseg.schema.base import Finite
from covidseg.schema.training import Pool, Start, Training
from covidseg.train import rounds
from covidseg.train.job import Job, Progress
from covidseg.train.stages import folder, pool_of, take_over

LABELS = 1  # after a round's number, the stream of random numbers that draws what it labels


class SelfTraining(Training):
    """Rounds of pseudo-labelling: each labels more of the pool and trains a new model (SSA-Net, section 3.3).

    ``trust`` is eq. 9's threshold: a pixel that no class reaches is background; null takes the likeliest class.
    """

    method: Literal["self_training"]
    pool: Pool
    rounds: int = Field(5, ge=1, le=99, description="At most so many after the first training.")
    take: Finite = Field(0.2, gt=0, le=1, description="Share of the pool that joins in each round.")
    trust: Annotated[float, Field(gt=0, lt=1)] | None = 0.95
    warm_start: bool = Field(False, description="Each round goes on from the last model, not from new weights.")
    start: Start = Field(None, description="Supervised run with equal settings, whose model is the first.")

    @property
    def stages(self) -> list[str]:
        """Return round0, labels1, round1, labels2, ...: a training and a labelling by turns."""
        later = [f"{kind}{k}" for k in range(1, self.rounds + 1) for kind in ("labels", "round")]
        return ["round0", *later]


def stage(job: Job, name: str, progress: Progress) -> dict[str, Any]:
    """Do one of the jobs before the last, in its folder, and return the facts for its record."""
    settings = _settings(job)
    number = int(name.removeprefix("round").removeprefix("labels"))
    out = folder(job.out, name)
    done = trained(job.out, number)
    if number and rounds.stopped([facts["val_dsc"] for facts in done]):
        return {"passed": True}
    if name.startswith("labels"):
        return {"passed": False, **_label(replace(job, out=out), settings, number)}
    if number == 0 and (start := job.references.get("start")):
        return {"passed": False, **take_over(start.out, out)}
    return {"passed": False, **_train(replace(job, out=out, stream=(number,) if number else ()), number, progress)}


def train(job: Job, progress: Progress) -> dict[str, Any]:
    """Keep the best round's model, let it predict the test slices, and return the facts of all rounds."""
    from covidseg.data import tensors
    from covidseg.train.device import prepare
    from covidseg.train.loader import SliceLoader, Slices, rows_by_role
    from covidseg.train.predict import load_model, write_predictions

    start = time.perf_counter()
    settings = _settings(job)
    done = trained(job.out, settings.rounds + 1)
    values = [facts["val_dsc"] for facts in done]
    kept = rounds.best(values)
    best = folder(job.out, f"round{kept}")
    loaded = tensors.load(job.tensors)
    rows = rows_by_role(job, loaded)
    loader = SliceLoader(
        [Slices(loaded, job.class_values)],
        job.spec.input.mode,
        prepare(job.device, job.spec.threads, job.spec.precision),
    )
    model = load_model(best, job.spec).to(loader.device)
    write_predictions(model, loader, rows["test"], job.spec.classes, job.out / "predictions.h5")
    for name in ("model.safetensors", "history.csv"):
        files.copy(best / name, job.out / name)
    table = [_line(job.out, number, facts, number == kept) for number, facts in enumerate(done)]
    notes = []
    if values[0] is None:
        notes = ["no validation cases: nothing stops the rounds and the last is kept"]
    elif not rounds.stopped(values):
        notes = [f"validation still rose in the last of {settings.rounds} rounds"]
    keys = ("device", "processor", "parameters", "best_epoch", "val_dsc", "epochs", "slices_per_second")
    return {key: done[kept][key] for key in keys} | {
        "slices": {role: len(found) for role, found in rows.items()},
        "seconds": round(time.perf_counter() - start + sum(line["seconds"] for line in table), 2),
        "resumed": any(facts["resumed"] for facts in done),
        "notes": list(dict.fromkeys([*done[kept]["notes"], *notes])),
        "kept_round": kept,
        "rounds": table,
    }


def trained(out: Path, before: int) -> list[dict[str, Any]]:
    """Return the records of the trained rounds before number ``before``. Raises UserError for a missing one."""
    found = [record.read(folder(out, f"round{k}") / record.STAGE) for k in range(before)]
    return [facts for facts in found if not facts["passed"]]


def _settings(job: Job) -> SelfTraining:
    assert isinstance(job.spec.train, SelfTraining)
    return job.spec.train


def _label(job: Job, settings: SelfTraining, number: int) -> dict[str, Any]:
    """Let the last round's model label what was drawn before and a new part of the pool."""
    from covidseg.train.device import prepare
    from covidseg.train.loader import SliceLoader, Slices
    from covidseg.train.predict import load_model
    from covidseg.train.pseudo import PseudoLabelled, write_labels

    start = time.perf_counter()
    main = job.out.parent.parent
    loaded, pool, known = pool_of(job, settings.pool)
    lungs = job.lung_masks
    drawn = np.zeros(0, np.int64)
    if number > 1:
        drawn = PseudoLabelled(loaded, folder(main, f"labels{number - 1}") / "labels.h5").index
    rows = rounds.draw(pool, drawn, settings.take, replace(job, stream=(number, LABELS)).random(-1))
    model = load_model(folder(main, f"round{number - 1}"), job.spec)
    loader = SliceLoader(
        [Slices(loaded, {}, lungs)], job.spec.input.mode, prepare(job.device, job.spec.threads, job.spec.precision)
    )
    found = write_labels(
        model, loader, rows, len(job.spec.classes), settings.trust, known, job.pool_values, job.out / "labels.h5"
    )
    seconds = time.perf_counter() - start
    return {
        "pool": len(pool),
        "pseudo": len(rows),
        "new": len(rows) - len(drawn),
        "pixels": found.pixels,
        "untrusted": found.untrusted,
        "agreement": found.agreement,
        "known": found.known,
        "seconds": round(seconds, 2),
        "slices_per_second": round(len(rows) / seconds, 3),
    }


def _train(job: Job, number: int, progress: Progress) -> dict[str, Any]:
    """Train a new model on the labelled slices and, from round 1 on, the pseudo-labelled ones."""
    from covidseg.data import tensors
    from covidseg.train import fitting
    from covidseg.train.device import prepare
    from covidseg.train.loader import SliceLoader, Slices, rows_by_role
    from covidseg.train.pseudo import PseudoLabelled

    start = time.perf_counter()
    main = job.out.parent.parent
    loaded = tensors.load(job.tensors)
    rows = rows_by_role(job, loaded)
    sources, more, before = [Slices(loaded, job.class_values)], [], None
    if number:
        assert job.pool is not None
        labels = folder(main, f"labels{number}") / "labels.h5"
        sources.append(PseudoLabelled(tensors.load(job.pool), labels, job.lung_masks))
        more.append(files.sha256(labels))
        before = folder(main, f"round{number - 1}") if _settings(job).warm_start else None
    loader = SliceLoader(sources, job.spec.input.mode, prepare(job.device, job.spec.threads, job.spec.precision))
    pseudo = len(loaded) + np.arange(len(sources[1]) if number else 0)
    train = np.concatenate([rows["train"], pseudo])
    fit = fitting.learn(job, loader, train, rows["val"], progress, *more, before=before)
    fit.resume.remove()
    return fitting.facts(fit, start) | {"labelled": len(rows["train"]), "pseudo": len(pseudo)}


def _line(out: Path, number: int, facts: dict[str, Any], kept: bool) -> dict[str, Any]:
    """Return one line of the table of rounds; what round 0 lacks is None."""
    keys = ("labelled", "pseudo", "class_pixels", "class_weights", "val_dsc", "best_epoch", "seconds")
    line = {"round": number, **{key: facts.get(key) for key in keys}, "kept": kept}
    labels = record.read(folder(out, f"labels{number}") / record.STAGE) if number else {}
    line |= {key: labels.get(key) for key in ("pool", "agreement", "known", "untrusted")}
    return line | {"seconds": round(facts["seconds"] + labels.get("seconds", 0), 2)}
