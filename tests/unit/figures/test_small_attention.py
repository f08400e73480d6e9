"""Figures of attention in small: SCOAT-Net's maps beside masks, and a classifier's at stages of its training."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import h5py
import numpy as np
import pytest
import torch

from covidseg import steps
from covidseg.base.errors import UserError
from covidseg.data.canonical import Store
from covidseg.data.tensors import read_rows, resize
from covidseg.figures import page
from covidseg.figures.page import Row
from covidseg.plan import Plan
from covidseg.plan.needs import training_memory
from covidseg.train.loader import compose
from covidseg.train.predict import load_model
from tests.unit import small_project
from tests.unit.small_project import DATASET, PAPER, TESTED, truth

MORE: dict[str, Any] = {
    "runs": {
        "plain": {},
        "scoat": {"net": {"name": "scoatnet", "width": 0.0625}},
        "cls": {
            "net": {"name": "classifier", "width": 0.125, "encoder": "resnet50", "init": "random"},
            "input": {"size": 32, "mode": "slice"},
            "train": {"method": "cam", "epochs": 3, "found": 1e-6, "snapshots": 2},
        },
    },
    "figures": {
        "5": {
            "kind": "attention",
            "caption": "Attention",
            "runs": {"U-Net": "plain", "SCOAT-Net": "scoat"},
            "of": "scoat",
            "maps": {"early": "1_1", "late": "1_3"},
            "slices": 2,
        },
        "10": {"kind": "attention_stages", "caption": "Stages", "run": "cls", "slices": 2},
    },
}


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plan]:
    """Return the plan of a project with trained networks, whose data keep slices without lesion."""
    with small_project.project(tmp_path_factory.mktemp("project"), PAPER | MORE, {"keep": "all"}) as plan:
        for run in plan.targets.runs():
            steps.train(plan, run, 0, 0)
        yield plan


def rows_of(plan: Plan, figure: Any, monkeypatch: pytest.MonkeyPatch) -> list[Row]:
    """Return the rows that a figure is drawn from."""
    drawn: list[list[Row]] = []
    with monkeypatch.context() as patch:
        patch.setattr(page, "draw", lambda rows, *more: drawn.append(rows))
        figure.draw(plan, "two")
    assert len(figure.draw(plan, "two").axes) >= sum(1 + len(row.panels) for row in drawn[0])
    return drawn[0]


def test_maps_of_one_network_beside_masks_of_two(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    figure: Any = plan.papers["two"].figures["5"]
    rows = rows_of(plan, figure, monkeypatch)
    assert len(rows) == 2
    model = load_model(plan.paths.job("two/scoat", 0, 0), plan.run("two/scoat").spec)
    with Store(plan.paths.canonical(DATASET)) as store:
        for row in rows:
            assert list(row.panels) == ["U-Net", "SCOAT-Net", "early", "late", page.TRUTH]
            case = row.slice.partition("/")[0]
            image = store.image(case)[1]
            assert np.array_equal(row.image, image)
            x = compose(torch.from_numpy(image[None]), torch.ones(1, 32, 32, dtype=torch.uint8), "slice+lung")
            with torch.inference_mode():
                attention = model(x)["attention"]
            for heading, name in (("early", "1_1"), ("late", "1_3")):
                wanted = resize((attention[name][0, 0] * 255).round().to(torch.uint8).numpy(), (32, 32))
                panel = row.panels[heading]
                assert np.array_equal(panel.heat, wanted)
                assert panel.note == f"mean {wanted.mean() / 255:.2f}"
            ((_, shown),) = row.panels[page.TRUTH].masks
            assert np.array_equal(shown, truth(case)[1] == 1)


def test_what_the_figure_of_maps_needs(plan: Plan) -> None:
    figure: Any = plan.papers["two"].figures["5"]
    scoat, plain = ("two/scoat", 0, 0), ("two/plain", 0, 0)
    assert figure.model_copy(update={"fold": 3}).jobs(plan.targets, "two") == {plain[0]: plain, scoat[0]: scoat}
    reads = figure.reads(plan.targets, "two")
    assert ({*reads.predictions}, reads.models, reads.lungs) == ({scoat, plain}, (scoat,), (DATASET,))
    needs = figure.needs(plan, "two")
    assert (needs.memory_mb, needs.minutes, needs.gpus) == (training_memory(plan.run("two/scoat").spec), 20, 0)
    words = figure.words(plan, "two", "5")
    assert words[0] == f"Data: {DATASET}, split ma5, fold 0, seed 0"
    assert words[2].endswith("shown inside the lungs only; lung masks labels")
    with pytest.raises(UserError, match=r"two/scoat: no attention map '9_9'"):
        figure.model_copy(update={"maps": {"none": "9_9"}}).draw(plan, "two")


def test_a_classifiers_maps_after_some_epochs_and_of_all(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of four tested cases, ordered by their lesions, two evenly spaced ones are the first and the last."""
    figure: Any = plan.papers["two"].figures["10"]
    rows = rows_of(plan, figure, monkeypatch)
    assert [row.slice for row in rows] == [f"{TESTED[0]}/001", f"{TESTED[3]}/001"]
    with h5py.File(plan.paths.job("two/cls", 0, 0) / "maps.h5") as file:
        tested = np.flatnonzero(np.isin(file["index"][()], rows_of_slices(plan, [row.slice for row in rows])))
        for row, k in zip(rows, tested, strict=True):
            wanted = {
                "Epoch 1": file["epochs"][k, 0],
                "Epoch 3": file["epochs"][k, 1],
                "Average of all": file["average"][k],
            }
            assert list(row.panels) == [*wanted, page.TRUTH]
            for heading, small in wanted.items():
                assert np.array_equal(row.panels[heading].heat, resize(small, (32, 32)))
            assert row.panels["Average of all"].heat.any()
            ((_, shown),) = row.panels[page.TRUTH].masks
            assert np.array_equal(shown, truth(row.slice.partition("/")[0])[1] == 1)
    assert figure.model_copy(update={"fold": 2}).job(plan.targets, "two") == ("two/cls", 0, 0)
    assert figure.reads(plan.targets, "two").records == (("two/cls", 0, 0),)
    other = figure.model_copy(update={"run": "plain"})
    with pytest.raises(UserError, match=r"here\.run: plain keeps no attention maps; name a run of method cam"):
        other.check(plan.targets, "two", "here")


def rows_of_slices(plan: Plan, names: list[str]) -> list[int]:
    """Return the rows of the tensors at which slices stand."""
    return [k for k, row in enumerate(read_rows(plan.paths.tensors(DATASET, 32))) if row["slice"] in names]
