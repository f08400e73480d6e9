"""Box plots: boxes stand, and lie below one another where there are many."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest

from covidseg.figures.kinds.boxes import BoxesFigure, _draw


def drawing(runs: int):
    names = [f"Network {k}" for k in range(runs)]
    figure = BoxesFigure.model_validate(
        {
            "kind": "boxes",
            "caption": "c",
            "runs": {name: f"r{k}" for k, name in enumerate(names)},
            "protocol": "standard",
            "metrics": {"Dice": "dice", "NSD": "nsd"},
            "medians": {"Dice": {"Network 1": 0.5}},
            "above": {"Dice": 0.9},
        }
    )
    scores = {name: pd.DataFrame({"dice": [0.1, 0.2 + k / 100, 0.9], "nsd": 0.5}) for k, name in enumerate(names)}
    return _draw(figure, scores, "")


@pytest.mark.parametrize(("runs", "lie"), [(2, False), (5, False), (6, True), (17, True)])
def test_many_boxes_lie(runs: int, lie: bool) -> None:
    """The median of the second run is 0.21, the printed one 0.5; both stand on the axis of the scores."""
    made = drawing(runs)
    axis, other = made.axes
    ticks = axis.get_yticklabels() if lie else axis.get_xticklabels()
    assert [tick.get_text().replace("\n", " ") for tick in ticks] == [f"Network {k}" for k in range(runs)]
    found = [(np.ravel(line.get_xdata()), np.ravel(line.get_ydata())) for line in axis.lines]
    ours = [(y, x) if lie else (x, y) for x, y in found]  # along the runs, then the score
    assert any(np.allclose(score, 0.21) and abs(run.mean() - 2) < 0.01 for run, score in ours if len(run) == 2)
    assert any(np.allclose(score, 0.5) and run.tolist() == [2] for run, score in ours)
    assert any(np.allclose(score, 0.9) for run, score in ours)
    made.canvas.draw()
    boxes = [tick.get_window_extent() for tick in ticks]
    shown = [(box.y0, box.y1) if lie else (box.x0, box.x1) for box in boxes]
    shown.sort()
    assert all(before[1] <= after[0] + 1 for before, after in itertools.pairwise(shown))  # none overlap
    assert (made.get_figheight() > 3) == (runs == 17)
    if lie:
        assert axis.yaxis_inverted()
        assert not any(tick.get_visible() and tick.get_text() for tick in other.get_yticklabels())
