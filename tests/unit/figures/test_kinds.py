"""Box plots, curves, map columns, and figures with nothing to show, each drawn from small results made by hand."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from covidseg import figures
from covidseg.base import records
from covidseg.base.errors import UserError
from covidseg.figures import page
from covidseg.figures.kinds import curves
from covidseg.figures.page import NothingToShowError, Panel, Row
from covidseg.plan import Plan
from covidseg.schema import Paper, Reads

BOXES: dict[str, Any] = {
    "kind": "boxes",
    "caption": "c",
    "protocol": "standard",
    "runs": {"Backbone": "m1", "Both": "m4"},
    "metrics": {"DSC": "dice", "SEN": "sen"},
    "medians": {"DSC": {"Both": 0.8}},
    "above": {"SEN": 0.9},
}
CURVES: dict[str, Any] = {"kind": "curves", "caption": "c", "runs": {"Both": "m4"}}


def plan_with(tmp_path: Path, figure: dict[str, Any], **config: Any) -> Plan:
    """Return a plan whose only figure is x, with results in ``tmp_path``."""
    plan = Plan.load({"mode": "paper", "results": str(tmp_path), "folds": [0], **config})
    paper = plan.papers["ssanet"].model_dump()
    plan.papers["ssanet"] = Paper.model_validate(paper | {"figures": {"x": figure}})
    return plan


def test_a_box_has_a_dot_for_each_case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = plan_with(tmp_path, BOXES)
    shown = plan.papers["ssanet"].figures["x"]
    assert plan.targets.protocols("ssanet/m4")[-1] == "standard"
    reads = shown.reads(plan.targets, "ssanet")
    assert (reads.scores, reads.records) == (("ssanet/m1", "ssanet/m4"), (("ssanet/m1", 0, 0), ("ssanet/m4", 0, 0)))
    values = {"ssanet/m1": [0.1, 0.2, 0.6], "ssanet/m4": [0.5, 0.7, 0.9]}

    def run_scores(plan: Plan, run: Any, protocol: str, unit: str, cls: str | None) -> pd.DataFrame:
        assert (protocol, unit, cls) == ("standard", "case", None)
        two = [  # classes: their mean is a case's dot
            {
                "fold": 0,
                "seed": 0,
                "case": f"c{k}",
                "slice": None,
                "class": name,
                "dice": value + add,
                "sen": 1.0,
            }
            for k, value in enumerate(values[run.id])
            for name, add in (("a", -0.1), ("b", 0.1))
        ]
        return pd.DataFrame(two)

    monkeypatch.setattr("covidseg.tables.results.run_scores", run_scores)
    drawing = shown.draw(plan, "ssanet")
    dice, sensitivity = (axis for axis in drawing.axes if axis.get_visible())
    dots = [list(np.round(line.get_ydata(), 3)) for line in dice.lines if line.get_marker() == "."]
    assert dots == [[0.1, 0.2, 0.6], [0.5, 0.7, 0.9]]
    diamond = next(line for line in dice.lines if line.get_marker() == "D")
    assert (list(diamond.get_xdata()), list(diamond.get_ydata())) == ([2], [0.8])
    assert any(line.get_linestyle() == "--" and set(line.get_ydata()) == {0.9} for line in sensitivity.lines)
    figures.write(plan, "ssanet", "x")
    assert plan.paths.figure("ssanet", "x", "pdf").stat().st_size > 1000
    assert "A dot is the score of one test case under protocol standard" in figures.caption_of(plan, "ssanet", "x")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"metrics": {"DSC": "dise"}}, "figures.x.metrics: unknown name 'dise'; did you mean 'dice'?"),
        ({"protocol": "standart"}, "figures.x.protocol: unknown protocol 'standart'; did you mean 'standard'?"),
        ({"above": {"DCS": 0.9}}, "figures.x: printed panels: unknown name 'DCS'; did you mean 'DSC'?"),
        ({"medians": {"DSC": {"Bot": 1}}}, "figures.x.medians.DSC: unknown name 'Bot'; did you mean 'Both'?"),
        ({"class": "ggo"}, "figures.x.class: unknown name 'ggo'; legal: infection"),
        ({"runs": {"a": "m9"}, "medians": {}}, "figures.x.runs: unknown name 'm9'"),
    ],
)
def test_the_names_of_a_box_plot_are_checked(changes: dict, message: str, tmp_path: Path) -> None:
    plan = plan_with(tmp_path, BOXES | changes)
    with pytest.raises(UserError) as e:
        plan.checks.all()
    assert message in str(e.value)


def test_curves_show_each_training_and_their_mean(tmp_path: Path) -> None:
    plan = plan_with(tmp_path, CURVES | {"columns": {"Validation DSC": "val_dsc", "Dice": "dice"}}, seeds=[0, 1])
    for seed, values in enumerate(((0.2, 0.4), (0.4, 0.8))):
        folder = plan.paths.job("ssanet/m4", 0, seed)
        folder.mkdir(parents=True)
        lines = [f"{epoch},0.1,,{value}" for epoch, value in enumerate(values)]
        (folder / "history.csv").write_text("\n".join(["epoch,lr,dice,val_dsc", *lines]) + "\n")
        records.write(folder / "run.json", [folder / "history.csv"])
    drawing = plan.papers["ssanet"].figures["x"].draw(plan, "ssanet")
    (axis,) = (axis for axis in drawing.axes if axis.get_visible())  # no epoch has a value of the Dice loss
    assert axis.get_title() == "Validation DSC"
    assert [list(np.round(line.get_ydata(), 6)) for line in axis.lines] == [[0.2, 0.4], [0.4, 0.8], [0.3, 0.6]]
    plan.papers["ssanet"] = plan_with(tmp_path, CURVES | {"columns": {"x": "nothing"}}).papers["ssanet"]
    figures.write(plan, "ssanet", "x")  # says so in its place
    assert plan.paths.figure("ssanet", "x", "png").stat().st_size > 1000
    (folder / "history.csv").write_text("epoch,lr\nx,1\n")
    with pytest.raises(UserError, match=r"history.csv: damaged"):
        figures.write(plan, "ssanet", "x")


def test_a_mean_has_the_epochs_that_all_have() -> None:
    assert curves.mean([[(0, 1.0), (1, 3.0)], [(1, 5.0), (2, 7.0)]]) == [(1, 4.0)]


def test_a_column_may_show_a_map(tmp_path: Path) -> None:
    columns = {"Ours": "m4", "Confidence": {"run": "m4", "map": "confidence"}}
    plan = plan_with(tmp_path, {"caption": "c", "groups": [{"runs": columns}]})
    shown = plan.papers["ssanet"].figures["x"]
    assert shown.reads(plan.targets, "ssanet") == Reads(predictions=(("ssanet/m4", 0, 0),))
    assert "Confidence: confidence of m4, dark 0, bright 1." in figures.caption_of(plan, "ssanet", "x")
    image, heat = np.zeros((4, 6), np.uint8), np.arange(6, dtype=np.uint8).reshape(2, 3)
    mask = [("infection", np.eye(4, 6, dtype=bool))]
    row = Row("a/000", image, {"Ours": Panel(mask), "Confidence": Panel((), heat=heat)})
    drawing = page.draw([row], shares=False)
    pictures = [axis.images[0] for axis in drawing.axes]
    assert [picture.get_cmap().name for picture in pictures] == ["gray", "gray", "magma"]
    assert pictures[2].get_extent() == [-0.5, 5.5, 3.5, -0.5]  # the map covers the slice
    with pytest.raises(ValueError, match="at least one column shows masks"):
        plan_with(tmp_path, {"caption": "c", "groups": [{"runs": {"Confidence": columns["Confidence"]}}]})


def test_a_figure_without_a_slice_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = plan_with(tmp_path, {"caption": "c", "groups": [{"runs": {"Ours": "m4"}}]})
    words: list[str] = []
    blank = page.blank
    monkeypatch.setattr("covidseg.figures.qualitative.test_slices", lambda *_: iter(()))
    monkeypatch.setattr(page, "blank", lambda text: words.append(text) or blank(text))
    figures.write(plan, "ssanet", "x")
    assert words == ["ssanet/m4, fold 0: no test slice shows any of its classes."]
    assert plan.paths.figure("ssanet", "x", "png").stat().st_size > 1000
    assert issubclass(NothingToShowError, UserError)
