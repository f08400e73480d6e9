"""Saved predictions of a training, beside the truth."""

from __future__ import annotations

from collections.abc import Iterator

from covidseg import record
from covidseg.errors import UserError
from covidseg.files import need, sha256
from covidseg.plan import Plan, Run
from covidseg.score import Slice


def test_slices(plan: Plan, run: Run, fold: int, seed: int) -> Iterator[Slice]:
    """Yield every test slice of a training: predicted probability and truth, per class, at the slice's own size.

    Predictions are enlarged from the network's grid to the crop's native pixels, where the truth was drawn.
    """
    import h5py
    import numpy as np

    from covidseg.data.canonical import Store, read_table
    from covidseg.data.tensors import Window, resize

    path = need(plan.paths.job(run.id, fold, seed) / "predictions.h5", f"train {run.id} --fold {fold} --seed {seed}")
    made = record.read(path.parent / "run.json")
    if made.get("outputs", {}).get("predictions.h5") != sha256(path):
        raise UserError(f"{path}: not the file that run.json names; delete its folder and run snakemake again")
    table = read_table(plan.paths.tensors(run.spec.dataset, run.spec.input.size) / "slices.csv")
    values = plan.class_values(run.spec.dataset, run.spec.classes)
    with h5py.File(path) as file, Store(plan.paths.canonical(run.spec.dataset)) as store:
        prob, index = file["prob"][()], file["index"][()]
        case, labels = "", None
        for row, maps in zip((table[i] for i in index), prob, strict=True):
            if row["case"] != case:
                case, labels = row["case"], store.label(row["case"])
            if labels is None:
                raise UserError(f"{case}: a test case without labels; correct {plan.split_path(run.spec.split)}")
            label = Window(row["top"], row["left"], row["height"], row["width"]).cut(labels[row["position"]])
            for k, (name, joined) in enumerate(values.items()):
                yield Slice(
                    case=case,
                    slice=row["slice"],
                    position=row["position"],
                    cls=name,
                    prob=resize(maps[k], label.shape),
                    truth=np.isin(label, joined),
                    spacing=(row["dz"], row["dy"], row["dx"]),
                )
