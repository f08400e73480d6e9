"""Maps that others released as predictions: as they came, none at all, and the authors' own scored as printed."""

from __future__ import annotations

import sys
from itertools import islice
from pathlib import Path

import h5py
import numpy as np
import pytest

from covidseg import steps
from covidseg.base.errors import UserError
from covidseg.data import canonical, importers, tensors
from covidseg.data.canonical import Case
from covidseg.plan import Plan
from covidseg.schema import Dataset, RunSpec
from covidseg.tables.cell import EQUAL, NOT_FOUND
from covidseg.tables.results import result_cells
from covidseg.train import Job, run

MAPS = "infnet-released-predictions"
OWN = Dataset(title="own", about="", licence="", importer="folder", classes={"ggo": 1, "consolidation": 2})
SIZES = {"a": (6, 8), "b": (5, 9)}
SPEC = RunSpec.model_validate(
    {
        "dataset": "own",
        "split": "own",
        "classes": ["ggo", "consolidation"],
        "net": {},
        "losses": {},
        "train": {"method": "released", "maps": "own-maps", "folders": {"consolidation": "Con/X", "ggo": "GGO/X"}},
    }
)


def job(folder: Path, maps: list[Case]) -> Job:
    """Return the job of two test slices with the given maps."""
    rng = np.random.default_rng(0)
    slices = [
        Case(name, name, "test", *rng.integers(0, 2, (2, 1, *size), np.uint8), hu=False) for name, size in SIZES.items()
    ]
    canonical.write(slices, OWN, folder / "own")
    canonical.write(maps, OWN.model_copy(update={"sources": []}), folder / "maps")
    tensors.build(folder / "own", OWN, 32, None, folder / "tensors")
    (folder / "split.csv").write_text("fold,case,role\n0,c,train\n0,a,test\n0,b,test\n")
    return Job(
        SPEC, 0, 0, folder / "tensors", folder / "split.csv", folder / "out", {"ggo": (1,)}, maps=folder / "maps"
    )


def a_map(name: str, value: int, size: tuple[int, int]) -> Case:
    return Case(name, name, "map", np.full((1, *size), value, np.uint8), hu=False)


def test_maps_become_predictions_as_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By class, each of its slice's size; one of another size is brought to it. The spec has nothing of a training, and
    torch is not needed.
    """
    monkeypatch.delitem(sys.modules, "covidseg.train.device", raising=False)
    names = {"GGO.X.a": (10, (6, 8)), "Con.X.a": (20, (6, 8)), "GGO.X.b": (30, (5, 9)), "Con.X.b": (40, (10, 18))}
    one = job(tmp_path, [a_map(name, *found) for name, found in names.items()])
    told: list[tuple[float, float, str]] = []
    facts = run(one, lambda *progress: told.append(progress))
    assert told == [(1, 1, "2 maps")]
    assert (facts["parameters"], facts["best_epoch"], facts["peak_gpu_memory_mb"]) == (0, None, 0)
    with h5py.File(tmp_path / "out/predictions.h5") as file:
        assert file["index"][()].tolist() == [0, 1]
        assert file["size"][()].tolist() == [[6, 8], [5, 9]]
        prob = file["prob"][()]
    assert prob.shape == (2, 2, 6, 9)
    assert (prob[0, 0, :, :8] == 10).all()
    assert (prob[0, 1, :, :8] == 20).all()
    assert (prob[1, 0, :5] == 30).all()
    assert (prob[1, 1, :5] == 40).all()
    assert set(SPEC.model_dump()["train"]) == {"method", "maps", "folders"}
    train = {"method": "released", "maps": "own-maps", "folders": {}, "epochs": 1}
    with pytest.raises(ValueError, match=r"epochs\s+Input should be less than or equal to 0"):
        RunSpec.model_validate(SPEC.model_dump() | {"train": train})


def test_no_map_is_said_and_some_are_refused(tmp_path: Path) -> None:
    none = run(job(tmp_path / "none", [a_map("other", 1, (6, 8))]), lambda done, of, text: None)
    assert none["notes"] == ["maps not found"]
    with h5py.File(tmp_path / "none/out/predictions.h5") as file:
        assert (len(file["prob"]), len(file["index"])) == (0, 0)
    with pytest.raises(UserError, match=r"slices\.h5: no map 'Con\.X\.a'; fetch own-maps again"):
        run(job(tmp_path / "some", [a_map("GGO.X.a", 1, (6, 8))]), lambda done, of, text: None)


def test_the_authors_maps_come_out_as_printed(shared_data: Path, tmp_path: Path) -> None:
    """Table II of Inf-Net, to the third decimal, for the two methods whose maps are at hand; the others say so."""
    runs = ["infnet/released-unet", "infnet/released-infnet", "infnet/released-unetplusplus"]
    config = {"mode": "paper", "preset": "cpu", "papers": ["infnet"], "only": runs, "lungs": {"covid-semiseg": "none"}}
    plan = Plan.load(config | {"data": str(tmp_path / "data"), "results": str(tmp_path / "results")})
    for name, first in (("covid-semiseg", 98), (MAPS, None)):  # without the 1600 unlabelled slices
        dataset, folder = plan.dataset(name), plan.paths.canonical(name)
        canonical.write(islice(importers.cases(shared_data / name, dataset), first), dataset, folder)
    steps.lungs(plan, "covid-semiseg")
    steps.tensors(plan, "covid-semiseg", 128)
    for name in runs:
        steps.train(plan, name, 0, 0)
        steps.score(plan, name)
    table = plan.papers["infnet"].tables["II"]
    assert table.kind == "results"
    cells = [cell for cell in result_cells(plan, "infnet", table) if cell.protocol == "infnet_toolbox"]
    verdicts = {name: [cell.verdict for cell in cells if cell.run == name] for name in runs}
    assert verdicts == {runs[0]: [EQUAL] * 6, runs[1]: [EQUAL] * 6, runs[2]: [NOT_FOUND] * 6}
    dice = next(cell for cell in cells if cell.run == runs[1] and cell.column == "Dice")
    assert (round(dice.ours or 0, 4), dice.slices) == (0.6818, 48)  # meanDic of the authors' Inf-Net.mat
