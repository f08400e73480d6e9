"""How rows look on paper: outlines, shares, legend, vectors, bytes."""

import re
import zlib
from pathlib import Path

import matplotlib
import numpy as np
import pytest

from covidseg.figures.page import TRUTH, Panel, Row, draw, outline, percent, save, share, styles_of, wrap


def mask(*on: tuple[int, int], shape: tuple[int, int] = (20, 20)) -> np.ndarray:
    out = np.zeros(shape, bool)
    for y, x in on:
        out[y, x] = True
    return out


def rows(group: str = "") -> list[Row]:
    """Return a slice on which M1 finds one GGO pixel of two, and no consolidation."""
    none, one, two = mask(), mask((3, 3)), mask((3, 3), (3, 4))
    panels = {
        "M1": Panel([("ggo", one), ("consolidation", none)], "Dice 0.67"),
        TRUTH: Panel([("ggo", two), ("consolidation", none)]),
    }
    return [Row("radiopaedia_4_85506_1/004", np.full((20, 20), 90, np.uint8), panels, (3, 4, 4, 5), group)]


def words(drawing) -> list[str]:  # type: ignore[no-untyped-def]
    return [text.get_text() for text in drawing.texts if text.get_text()]


def legend(drawing) -> list[str]:  # type: ignore[no-untyped-def]
    return [text.get_text() for text in drawing.legends[0].get_texts()]


def test_an_outline_runs_round_the_pixels() -> None:
    area = outline(mask((1, 2), (1, 3)))
    box = area.get_extents()
    assert (box.x0, box.y0, box.x1, box.y1) == (1.5, 0.5, 3.5, 1.5)
    assert outline(mask()) is None


def test_an_outline_leaves_holes_and_reaches_the_border() -> None:
    ring = np.ones((5, 5), bool)
    ring[2, 2] = False
    area = outline(ring)
    box = area.get_extents()
    assert (box.x0, box.y0, box.x1, box.y1) == (-0.5, -0.5, 4.5, 4.5)
    assert sum(code == area.MOVETO for code in area.codes) == 2


def test_shares_are_percent_of_the_slice() -> None:
    assert share(np.array([[True, False], [False, False]])) == 25.0
    assert [percent(value) for value in (25.0, 1.04, 0.125, 0.0)] == ["25.0", "1.0", "0.12", "0"]


def test_a_class_keeps_its_look_and_no_two_are_alike() -> None:
    both = styles_of(["consolidation", "infection", "ggo"])
    assert both["ggo"] == styles_of(["ggo"])["ggo"]
    assert len(set(styles_of(["ggo", "consolidation", "infection", "effusion", "nodule"]).values())) == 5
    assert both["ggo"][1] != both["consolidation"][1]  # hatching: colour is not all that tells them apart


def test_the_legend_names_what_occurs() -> None:
    assert legend(draw(rows(), True)) == ["ground-glass opacity (GGO)", "largest disagreement of the methods"]


def test_headings_notes_groups_and_bars_are_written() -> None:
    drawing = draw(rows("Dataset1"), True, "Phantom CT, not patients.")
    assert words(drawing) == [
        *("CT", "M1", TRUTH, "Class shares"),
        *("radiopaedia_4_85506_1/004", "Dice 0.67", "% of the slice", "Dataset1", "Phantom CT, not patients."),
    ]
    bars = drawing.axes[-1]
    assert [text.get_text() for text in bars.texts] == ["0.25", "0", "0.50", "0"]  # 1 and 2 of 400 pixels
    assert [label.get_text() for label in bars.get_yticklabels()] == ["M1", TRUTH]


def test_groups_share_columns_and_a_run_that_is_not_there_is_said() -> None:
    second = [Row("b/000", row.image, {"M2": row.panels["M1"], TRUTH: row.panels[TRUTH]}) for row in rows()]
    drawing = draw(rows() + second, False)
    assert words(drawing)[:4] == ["CT", "M1", "M2", TRUTH]
    said = [[text.get_text() for text in axis.texts] for axis in drawing.axes]
    assert said == [[], [], ["not run"], [], [], ["not run"], [], []]


def test_no_text_is_smaller_than_7_points_or_runs_into_another() -> None:
    names = ["(M4) backbone+SC+SA from the fortieth epoch", "nnU-Net", "SSA-Net(I)", "Inf-Net"]
    one = rows()[0]
    panels = {**{name: one.panels["M1"] for name in names}, TRUTH: one.panels[TRUTH]}
    long = [Row(f"{i}_radiopaedia_org_covid-19-pneumonia-4_85506_1/004", one.image, panels, one.box) for i in range(2)]
    drawing = draw(long, True)
    drawing.canvas.draw()
    bars = drawing.axes[6::7]  # CT, four methods, truth, bars
    outside = [*drawing.texts, *(label for axis in bars for label in axis.get_yticklabels())]
    texts = [text for text in [*outside, *(text for axis in bars for text in axis.texts)] if text.get_text()]
    assert min(text.get_fontsize() for text in texts) >= 7
    boxes = [text.get_window_extent().shrunk(0.99, 0.9) for text in texts]
    page, panels = drawing.bbox, [axis.get_window_extent() for axis in drawing.axes]
    for k, (text, box) in enumerate(zip(texts, boxes, strict=True)):
        assert page.x0 <= box.x0 < box.x1 <= page.x1
        assert page.y0 <= box.y0 < box.y1 <= page.y1
        meets = [texts[j].get_text() for j in range(k) if boxes[j].overlaps(box)]
        assert not meets, f"{text.get_text()!r} runs into {meets}"
        assert text not in outside or not box.count_overlaps(panels), f"{text.get_text()!r} runs into a panel"
    assert drawing.get_figwidth() < 7.5


def test_lines_break_at_blanks_and_marks() -> None:
    assert wrap("Ground truth", 0.6, 8) == "Ground\ntruth"
    assert wrap("Ground truth", 3, 8) == "Ground truth"
    assert wrap("radiopaedia_4_85506_1/004", 1, 7) == "radiopaedia_4_\n85506_1/004"


def test_the_pdf_holds_letters_and_vectors_and_no_raster_but_the_ct(tmp_path: Path) -> None:
    save(draw(rows(), True), tmp_path / "a.pdf")
    data = (tmp_path / "a.pdf").read_bytes()
    assert data.count(b"/Subtype /Image") == 3  # CT, M1, truth: the slice itself, 20 x 20
    assert set(re.findall(rb"/(?:Width|Height) (\d+)", data)) == {b"20"}
    assert b"/SMask" not in data
    assert b"/FontFile2" in data
    assert b"/Type3" not in data
    assert b"CreationDate" not in data
    streams = [zlib.decompress(s) for s in re.findall(rb"stream\r?\n(.*?)\r?\nendstream", data, re.S) if s[:1] == b"x"]
    assert any(re.search(rb"^B$", stream, re.M) for stream in streams)  # an area filled and outlined


@pytest.mark.parametrize("suffix", ["pdf", "png"])
def test_the_same_rows_give_the_same_bytes_whatever_style_the_user_has(tmp_path: Path, suffix: str) -> None:
    for name, style in (("a", {}), ("b", {"font.family": "serif", "savefig.bbox": "tight", "lines.linewidth": 3})):
        with matplotlib.rc_context(style):
            save(draw(rows(), True), tmp_path / f"{name}.{suffix}")
    assert (tmp_path / f"a.{suffix}").read_bytes() == (tmp_path / f"b.{suffix}").read_bytes()
