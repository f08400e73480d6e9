"""The folder of measures as a registry, and pairs of masks that are counted together."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from covidseg import schema
from covidseg.base.errors import UserError
from covidseg.evaluate.score import Slice, check_measures, score_slices, summarise
from covidseg.metrics import measures
from covidseg.metrics.pair import Pair, by_image

NEW = """
from covidseg.metrics.pair import Pair

def missed_rows(pair: Pair) -> float:
    return float((pair.truth.any(1) & ~pair.mask.any(1)).sum())
"""
PROTOCOL = """
title: mine
about: counts rows
engine: masks
metrics:
  rows: {title: Rows, better: lower, about: rows of the truth without a prediction, measure: missed_rows}
"""
NAN3 = (float("nan"),) * 3


def protocol(tmp_path: Path, text: str = PROTOCOL) -> schema.Protocol:
    (tmp_path / "mine.yaml").write_text(text)
    return schema.load(schema.Protocol, tmp_path / "mine.yaml")


def test_a_metric_is_one_file_and_a_protocol_one_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = protocol(tmp_path)
    with pytest.raises(UserError, match=r"mine: metrics\.rows: unknown measure 'missed_rows'"):
        check_measures(mine, "mine")
    (tmp_path / "rows.py").write_text(NEW)
    monkeypatch.setattr(measures, "__path__", [*measures.__path__, str(tmp_path)])
    check_measures(mine, "mine")
    truth, found = np.array([[1, 0], [0, 1]], bool), np.array([[1, 1], [0, 0]], np.uint8) * 255
    rows = score_slices(mine, [Slice("c", "c/0", 0, "lesion", found, truth, NAN3)])
    assert [row["rows"] for row in rows] == [1.0, 1.0]


def test_two_measures_of_one_name_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "zz.py").write_text("def dice(pair): ...\n")
    monkeypatch.setattr(measures, "__path__", [*measures.__path__, str(tmp_path)])
    with pytest.raises(ValueError, match=r"measure dice is defined in covidseg\.metrics\.measures\.overlap, too"):
        measures.names()


def a_slice(found: str, truth: str, position: int, case: str = "c") -> Slice:
    prob, true = (np.array([[int(c) for c in text]]) for text in (found, truth))
    return Slice(case, f"{case}/{position}", position, "lesion", (prob * 255).astype(np.uint8), true == 1, NAN3)


OVER = "{title: t, about: a, engine: masks, MORE, metrics: {dice: {title: D, better: higher, about: b}}}"


def test_means_over_slices_with_lesion(tmp_path: Path) -> None:
    mine = protocol(tmp_path, OVER.replace("MORE", "over: lesion"))
    slices = [a_slice("1000", "1100", 0), a_slice("0001", "0000", 1), a_slice("0000", "0000", 0, "d")]
    rows = score_slices(mine, slices)
    assert [row["dice"] for row in rows] == pytest.approx([2 / 3, np.nan, np.nan, 2 / 3, np.nan], nan_ok=True)
    assert summarise(rows, mine)["lesion"]["dice"] == {"mean": pytest.approx(2 / 3), "std": None, "n": 1}


def test_pixels_of_all_slices_pooled(tmp_path: Path) -> None:
    """2 of 3 marked pixels are right and 2 of 4 true ones found: 4 / 7; without the empty slice's, 4 / 6."""
    slices = [a_slice("1000", "1100", 0), a_slice("0001", "0000", 1), a_slice("0010", "0110", 0, "d")]
    for more, expected in (("unit: pooled", 4 / 7), ("unit: pooled, over: lesion", 4 / 6)):
        mine = protocol(tmp_path, OVER.replace("MORE", more))
        rows = [row for row in score_slices(mine, slices) if row["unit"] == "pooled"]
        assert [(row["case"], row["slice"], row["dice"]) for row in rows] == [("all", "", pytest.approx(expected))]
        assert summarise(rows, mine)["lesion"]["dice"]["n"] == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            OVER.replace("MORE", "unit: pooled").replace("dice", "nsd"),
            "x: metrics.nsd: nsd has no value for all slices",
        ),
        (OVER.replace("MORE", "over: lesion").replace("masks", "toolbox"), "x: the engine toolbox scores each slice"),
    ],
)
def test_what_cannot_be_pooled_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UserError) as e:
        check_measures(protocol(tmp_path, text), "x")
    assert str(e.value).startswith(message)


def test_scoat_counts_the_regions_of_a_case_together() -> None:
    """Two slices: regions 2 of 3 right and 1 of 2 found in-plane; in 3-D the slices' regions at the left are one."""
    path = Path(__file__).parents[3] / "workflow" / "protocols" / "scoat.yaml"
    mine = schema.load(schema.Protocol, path)
    slices = [a_slice("1001000", "1000000", 0), a_slice("1000000", "1000011", 1)]
    (case,) = (row for row in score_slices(mine, slices) if row["unit"] == "case")
    assert {key: case[key] for key in ("rlp", "rlr", "rlp_3d", "rlr_3d", "va", "ppv")} == {
        "rlp": pytest.approx(2 / 3),
        "rlr": pytest.approx(2 / 3),
        "rlp_3d": 1 / 2,
        "rlr_3d": 1 / 2,
        "va": pytest.approx(1 - 2 / 7),
        "ppv": pytest.approx(2 / 3),
    }


def test_a_measure_is_marked_where_it_asks_only_whether_a_slice_shows_the_lesion() -> None:
    def found(pair: Pair) -> float:
        return float(pair.mask.any())

    assert not hasattr(found, "by_image")
    assert by_image(found) is found
    assert hasattr(found, "by_image")
    marked = {
        name for name in ("missed", "invented", "agrees", "volume_error") if hasattr(measures.load(name), "by_image")
    }
    assert marked == {"missed", "invented", "agrees"}
