"""Labels from a random walk: a network learns where borders run, and another run's attention spreads up to them.

IRN (Ahn et al., CVPR 2019, sections 4 and 5), for semantic segmentation: sure pixels of the other run's maps teach the
network borders; then a random walk spreads the maps. ``maps.h5`` and ``labels.h5`` are as those of method ``cam``.
"""

from __future__ import annotations

import time
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from covidseg.schema.base import Finite, Positive, RunId
from covidseg.schema.references import MODEL, Refers, of_same_slices
from covidseg.schema.training import Training
from covidseg.train.job import Job, Progress


class Walk(Training):
    """A network of borders, taught by sure pixels of another run's maps, over which these maps walk."""

    WRITES: ClassVar[tuple[str, ...]] = (MODEL, "maps.h5", "labels.h5")
    ONE_CLASS: ClassVar[bool] = True
    LABELS_ONLY: ClassVar[bool] = True

    method: Literal["walk"]
    maps_of: Annotated[RunId, Refers("maps", "maps.h5", of_same_slices)] = Field(
        description="A run of method cam, whose maps teach and walk."
    )
    fusion: Literal["average", "max", "last"] = Field("average", description="Which of its maps.")
    sure: tuple[Finite, Finite] = Field(
        (0.05, 0.3), description="Attention at most this is background to learn from, at least this is lesion."
    )
    radius: Positive = Field(5, description="Places closer than this are linked, at a quarter of the slice's size.")
    beta: Finite = Field(10, gt=0, description="Power of the affinity: high values let nothing pass a weak border.")
    steps: Positive = Field(256, description="Of the random walk.")
    foreground: Finite = Field(0.25, gt=0, lt=1, description="Least share of the slice's maximum that is lesion.")

    @property
    def leaves_unlabelled(self) -> bool:
        """Return whether the method learns from targets with pixels that have no label: those that are not sure."""
        return True


def train(job: Job, progress: Progress) -> dict[str, Any]:
    """Train the network of borders, walk, and write what method ``cam`` writes. See ``covidseg.train.run``."""
    import numpy as np
    import torch

    from covidseg.base.files import sha256
    from covidseg.data.tensors import resize
    from covidseg.train import attention, fitting, weak
    from covidseg.train.device import autocast, prepare
    from covidseg.train.loader import PART, SliceLoader, evaluation_batch, in_batches
    from covidseg.train.pseudo import Chosen
    from covidseg.train.walk import walk

    start = time.perf_counter()
    settings = job.spec.train
    assert isinstance(settings, Walk)
    data = weak.load(job)
    source = job.references["maps"].out / weak.MAPS
    index, maps = weak.read_maps(source, settings.fusion)
    weak.check_rows(source, index, data)
    size = (data.loaded.image.shape[1], data.loaded.image.shape[2])
    train_rows = data.roles["train"]
    low, high = (round(share * 255) for share in settings.sure)
    sure = np.zeros((len(train_rows), *size), np.uint8)
    for k, at in enumerate(weak.places(data, train_rows)):
        if data.sick[at]:
            found = resize(maps[at], size)
            sure[k] = np.where(found >= high, 1, np.where(found <= low, 0, 255))
    loader = SliceLoader(
        [Chosen(data.loaded, train_rows, sure)],
        job.spec.input.mode,
        prepare(job.device, job.spec.threads, job.spec.precision),
    )
    none = np.zeros(0, np.int64)
    fit = fitting.learn(job, loader, np.arange(len(train_rows)), none, progress, sha256(source))
    whole = SliceLoader([data.images], job.spec.input.mode, loader.device)
    walked = np.zeros((len(data.every), size[0] // 4, size[1] // 4), np.uint8)
    model = fit.model.eval()
    for part in in_batches(np.arange(len(data.every)), min(PART, evaluation_batch(size[0], loader.device))):
        x, _ = next(whole.batches([data.every[part]]))
        with torch.inference_mode(), autocast(x.device):
            edge = torch.sigmoid(model(x)["edge"].float())[:, 0]
        shape = (edge.shape[1], edge.shape[2])
        given = np.stack([resize(maps[at], shape) for at in part]).astype(np.float32) / 255
        after = walk(torch.from_numpy(given).to(edge.device), edge, settings.radius, settings.beta, settings.steps)
        walked[part] = attention.to_8bit(attention.normalised(after.cpu().numpy()))
    weak.write_maps(job.out / weak.MAPS, data.every, {settings.fusion: walked})
    facts = fitting.facts(fit, start) | {"slices": {role: len(rows) for role, rows in data.roles.items()}}
    made = weak.write_labels(job, data, settings.fusion)
    fit.resume.remove()
    facts["notes"] = [*facts["notes"], *made.pop("notes")]
    return facts | made | {"seconds": round(time.perf_counter() - start, 2)}
