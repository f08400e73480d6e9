"""Tables against numbers worked out by hand."""

import re
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from covidseg.base import records
from covidseg.base.errors import UserError
from covidseg.plan import Plan
from covidseg.tables import results, rows
from covidseg.tables.caption import differences, still_rising
from covidseg.tables.cell import DIFFERS, EQUAL, INSIDE, NOT_COMPARABLE, NOT_FOUND, OUTSIDE, Cell, judge
from covidseg.tables.kinds.results import Line, ResultTable
from covidseg.tables.layout import grid, latex, markdown, number
from covidseg.tables.results import _cell
from tests.records import write_record

ABOUT = {"row": "(M1) a_b", "run": "p/m1", "cls": "infection", "protocol": "ssanet", "column": "DSC", "digits": 4}
ABOUT |= {"printed_sd": None}


def scores(values: dict[tuple[int, int], list[float]]) -> pd.DataFrame:
    """Return the scores of one case a fold, from (fold, seed) -> those of its slices."""
    return pd.DataFrame(
        [
            {"fold": f, "seed": s, "case": f"c{f}", "slice": f"c{f}/{k}", "dsc": v}
            for (f, s), found in values.items()
            for k, v in enumerate(found)
        ]
    )


def cell(**changes: object) -> Cell:
    values = scores({(0, 0): [0.5, 0.7], (1, 0): [0.8]})
    return _cell(**(ABOUT | {"values": values, "reasons": [], "printed": 0.6, "metric": "dsc"} | changes))  # type: ignore[arg-type]


def test_ours_is_the_mean_over_slices_and_sd_that_over_folds() -> None:
    found = cell()
    assert found.ours == pytest.approx(2.0 / 3)  # (0.5 + 0.7 + 0.8) / 3
    assert found.sd == pytest.approx(0.2 / 2**0.5)  # fold means 0.6 and 0.8
    assert found.difference == pytest.approx(2.0 / 3 - 0.6)
    assert (found.folds, found.seeds, found.slices) == (2, 1, 3)


def test_seeds_are_averaged_after_slices() -> None:
    found = cell(values=scores({(0, 0): [0.5, 0.7], (0, 1): [0.8, 0.8]}))
    assert found.ours == pytest.approx(0.7)  # seeds 0.6 and 0.8
    assert (found.seeds, found.slices) == (2, 2)


def test_an_average_counts_a_slice_once_and_its_classes_alike() -> None:
    two = pd.concat([scores({(0, 0): [0.5, 0.7]}), scores({(0, 0): [0.1, 0.3]})])  # two slices, two classes
    found = cell(values=two)
    assert (found.ours, found.slices) == (pytest.approx(0.4), 2)
    assert cell(values=two.assign(slice=None)).slices == 1  # scored by case


def test_rows_of_one_label_show_their_class() -> None:
    cells = [cell(row="S1", cls=cls) for cls in ("ggo", "consolidation", "average")]
    headings, lines = grid([*cells, cell(row="U-Net", cls="average", values=None)])
    assert headings[:3] == ["", "class", "DSC printed"]
    assert [line[:3] for line in lines] == [
        ["S1", "ggo", "0.6000"],
        ["", "consolidation", "0.6000"],
        ["", "average", "0.6000"],
        ["U-Net", "average", "0.6000"],
    ]
    assert "| S1 | ggo | 0.6000 |" in (text := markdown("Caption.", cells, []))
    assert "| --- | --- | ---: |" in text
    assert "\\begin{tabular}{llrrrr}" in latex("Caption.", "p-4", cells)


def table(rows_: list[tuple[str, str, str]]) -> pd.DataFrame:
    return pd.DataFrame(rows_, columns=["row", "class", "run"])


TWO = table(
    [
        ("S1", "ggo", "p/s1"),
        ("S1", "average", "p/s1"),
        ("M4", "infection", "p/m4"),
        ("M4 again", "infection", "p/m4"),
        ("U-Net", "", ""),
    ]
)


def test_keys_and_titles_name_the_class_where_rows_share_a_run() -> None:
    assert rows.keys(TWO).tolist() == ["p/s1:ggo", "p/s1:average", "p/m4", "p/m4", ""]
    assert rows.titles(TWO).tolist() == ["S1, ggo", "S1, average", "M4", "M4 again", "U-Net"]


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("s1:ggo", ("S1", "ggo")),
        ("p/s1:average", ("S1", "average")),
        ("S1:ggo", ("S1", "ggo")),
        ("M4", ("M4", "infection")),
        ("U-Net", ("U-Net", "")),
        ("s1", "2 rows are 's1'; name one: s1:ggo, s1:average"),
        ("m4", "2 rows are 'm4'; name one: M4:infection, M4 again:infection"),
        ("s1:goo", "no row 's1:goo'; did you mean 's1:ggo'?"),
    ],
)
def test_a_row_is_found_by_label_or_run(name: str, found: tuple[str, str] | str) -> None:
    if isinstance(found, tuple):
        assert rows.find(TWO, "p", name, Path("4.csv")) == found
    else:
        with pytest.raises(UserError, match=f"^4.csv: {re.escape(found)}$"):
            rows.find(TWO, "p", name, Path("4.csv"))


def test_a_table_of_an_earlier_version_is_refused(tmp_path: Path) -> None:
    (tmp_path / "3.csv").write_text("row,run\nM1,p/m1\n")
    records.write(tmp_path / "3.json", [tmp_path / "3.csv"])
    with pytest.raises(UserError, match=r"3\.csv: damaged \(ValueError: no column class\); run covidseg repair"):
        rows.read(tmp_path / "3.csv")


@pytest.mark.parametrize(
    ("printed", "sd", "reasons", "verdict"),
    [
        (0.60, 0.03, [], INSIDE),  # 0.05 away, 2 sd is 0.06
        (0.60, 0.02, [], OUTSIDE),  # 2 sd is 0.04
        (0.60, 0.03, ["a stand-in"], NOT_COMPARABLE),
        (0.60, None, [], NOT_COMPARABLE),
        (None, 0.03, [], ""),
    ],
)
def test_verdict(printed: float | None, sd: float | None, reasons: list[str], verdict: str) -> None:
    assert judge(printed, 0.65, sd, reasons)[0] == verdict


def test_the_authors_maps_are_equal_to_the_digits_printed_or_not() -> None:
    assert [judge(0.682, ours, None, [], 3)[0] for ours in (0.68151, 0.6824, 0.6826)] == [EQUAL, EQUAL, DIFFERS]
    assert judge(0.682, 0.682, None, ["a stand-in"], 3)[0] == NOT_COMPARABLE
    missing = cell(values=None, maps=True)
    assert (missing.verdict, missing.ours) == (NOT_FOUND, None)
    assert grid([missing])[1] == [["(M1) a_b", "0.6000", "–", "–", "maps not found"]]


@pytest.mark.parametrize(("value", "text"), [(-0.00001, "0.0000"), (-0.5, "-0.5000"), (None, "–"), (float("nan"), "–")])
def test_numbers(value: float | None, text: str) -> None:
    assert number(value, 4) == text


def test_a_row_without_a_run_shows_what_was_printed() -> None:
    headings, lines = grid([cell(values=None)])
    assert headings == ["", "DSC printed", "DSC ours", "difference", "verdict"]
    assert lines == [["(M1) a_b", "0.6000", "not run", "–", "not run"]]


def test_markdown_and_latex_hold_the_same_numbers() -> None:
    text = markdown("Caption.", [cell()], [])
    assert "| (M1) a_b | 0.6000 | 0.6667 ± 0.1414 | 0.0667 | inside our spread |" in text
    assert text.endswith("\n\nCaption.\n")
    tex = latex("100 % of a_b", "p-3", [cell()])
    assert "(M1) a\\_b & 0.6000 & 0.6667 $\\pm$ 0.1414 & 0.0667 & inside our spread \\\\" in tex
    assert "\\caption{100 \\% of a\\_b}" in tex
    tex = latex("{C:\\d} < 5 $", "p-3", [replace(cell(), row="[1] x | y")])
    assert "\\caption{\\{C:\\textbackslash{}d\\} \\textless{} 5 \\$}" in tex
    assert "\\midrule\n{[}1] x \\textbar{} y & 0.6000" in tex  # "[" after a line's end would be a length
    assert "| [1] x \\| y | 0.6000" in markdown("", [replace(cell(), row="[1] x | y")], [])


def test_a_caption_names_the_runs_of_what_not_all_share() -> None:
    stand_ins = {"covid-ct-seg": "zenodo20-slices"}
    plan = Plan.load({"mode": "paper", "preset": "full", "stand_ins": stand_ins, "folds": [0]})
    runs = [plan.run(f"ssanet/{name}") for name in ("unet", "m4", "m4", "unet-dataset2")]
    assert differences(plan, runs) == [
        "Differs from the paper: zenodo20-slices stands in for covid-ct-seg, 1 of 5 folds (0) (ssanet/unet, ssanet/m4)."
    ]
    assert differences(plan, runs[:2]) == [
        "Differs from the paper: zenodo20-slices stands in for covid-ct-seg; 1 of 5 folds (0)."
    ]


def test_a_caption_names_the_runs_in_bfloat16() -> None:
    plan = Plan.load({"mode": "paper", "preset": "full"})
    plain, other = plan.run("ssanet/unet-dataset2"), plan.run("ssanet/m4-dataset2")
    rounded = replace(other, spec=other.spec.model_copy(update={"precision": "bfloat16"}))
    assert differences(plan, [plain]) == []
    assert differences(plan, [rounded]) == ["Trained and predicted in bfloat16."]
    assert differences(plan, [plain, rounded]) == ["Trained and predicted in bfloat16 (ssanet/m4-dataset2)."]


TABLE = {"caption": "x", "protocol": "ssanet", "metrics": {"DSC": "dsc", "MAE": "mae"}}


def lines_of(*rows: dict, **more: object) -> list[Line]:
    return ResultTable.model_validate(TABLE | {"rows": rows} | more).lines


def test_a_row_stands_for_a_line_a_class_and_for_the_authors_maps() -> None:
    assert lines_of({"label": "a", "run": "m1", "printed": {"MAE": 0.1, "DSC": None}}) == [
        Line("a", "m1", None, {"MAE": 0.1}, {})
    ]
    assert lines_of(
        {"label": "a", "run": "m1", "maps": "m2", "classes": {"ggo": [0.5, [0.1, 0.02]], "average": {}}}
    ) == [
        Line("a", "m1", "ggo", {"DSC": 0.5, "MAE": 0.1}, {"MAE": 0.02}),
        Line("a", "m1", None, {}, {}),
        Line("a, authors' maps", "m2", "ggo", {"DSC": 0.5, "MAE": 0.1}, {"MAE": 0.02}),
        Line("a, authors' maps", "m2", None, {}, {}),
    ]
    with pytest.raises(ValueError, match="3 printed values of 'a' for 2 columns"):
        lines_of({"label": "a", "printed": [1, 2, 3]})
    with pytest.raises(ValueError, match="stands in place of class and printed"):
        lines_of({"label": "a", "classes": {"ggo": [1, 2]}, "printed": [1, 2]})


def test_a_printed_spread_is_shown_and_counts_in_the_verdict() -> None:
    # ours 0.65 with sd 0.3 / 2**0.5 = 0.2121 over two folds: 2 sd are 0.4243; with a printed 0.3, 2 sd are 0.7348.
    values = scores({(0, 0): [0.5], (1, 0): [0.8]})
    assert cell(values=values, printed=0.2).verdict == OUTSIDE
    found = cell(values=values, printed=0.2, printed_sd=0.3)
    assert (found.verdict, found.why) == (INSIDE, "|difference| 0.4500, 2 sd of ours and the printed 0.7348")
    assert grid([found])[1][0][1] == "0.2000 ± 0.3000"
    one = scores({(0, 0): [0.5]})
    assert cell(values=one, printed=0.48).verdict == NOT_COMPARABLE
    assert cell(values=one, printed=0.48, printed_sd=0.03).verdict == INSIDE
    assert cell(values=one, printed=0.43, printed_sd=0.03).verdict == OUTSIDE


def test_parameters_are_those_of_the_full_network_in_demo_mode_too() -> None:
    plan = Plan.load({})
    table = {**TABLE, "metrics": {}, "facts": {"Params": "parameters"}}
    printed = (["m4", 31.12], ["m4", 31.10], ["m1", None])
    rows = [{"label": f"{run} {value}", "run": run, "printed": [value]} for run, value in printed]
    for run in ("m1", "m4"):  # a table's scores are read first
        assert plan.run(f"ssanet/{run}").net.get("width", 1.0) == 1.0 != plan.run(f"ssanet/{run}").spec.net["width"]
    cells = [
        results._parameters(plan.run(f"ssanet/{row['run']}"), row=row["label"], run="", cls="", protocol="",
                            column="Params", metric="parameters", printed=line.printed.get("Params"))
        for row, line in zip(rows, ResultTable.model_validate(table | {"rows": rows}).lines, strict=True)
    ]  # fmt: skip
    assert [cell.verdict for cell in cells] == [EQUAL, DIFFERS, ""]
    assert number(cells[0].ours, cells[0].digits) == "31.12"


def test_cells_whose_printed_value_is_lost_say_so() -> None:
    """Of two columns one printed value survives; of a row that was not run there is nothing to say."""
    found = [
        cell(),
        cell(column="SEN", printed=None),
        cell(row="b", values=None),
        cell(row="b", column="SEN", values=None),
    ]
    lines = grid([results._lost(each) for each in found])[1]
    assert [line[-1] for line in lines] == ["DSC inside our spread; SEN nothing printed", "not run"]
    assert grid([results._lost(cell(printed=None))])[1] == [["(M1) a_b", "0.6667 ± 0.1414", "nothing printed"]]
    tables = Plan.load({"papers": ["attnfusion"]}).papers["attnfusion"].tables
    lost = {name for name, table in tables.items() if getattr(table, "lost", False)}
    assert lost == {"2", "2-pooled", "3", "4", "5"}


def test_a_fact_of_the_records_is_the_mean_over_folds(tmp_path: Path) -> None:
    plan = Plan.load({"results": str(tmp_path), "folds": [0, 1]})
    run = plan.run("ssanet/m4")
    for fold, value in ((0, 0.5), (1, 0.75)):
        path = plan.paths.job(run.id, fold, 0) / "run.json"
        records.write(path, [], spec_hash="", accuracy=value)
    about = {"row": "a", "run": run.id, "cls": "", "protocol": "", "column": "Accuracy", "printed": None}
    found = results._recorded(plan, run, metric="accuracy", **about)
    assert (found.ours, found.sd, found.folds, found.seeds) == (0.625, pytest.approx(0.25 / 2**0.5), 2, 1)
    assert results._recorded(plan, run, metric="auc", **about).ours is None
    assert results._recorded(plan, None, metric="auc", **about).verdict == "not run"


def test_trainings_that_ended_too_early_are_named(tmp_path: Path) -> None:
    plan = Plan.load({"results": str(tmp_path)})
    runs = [plan.run("ssanet/m1"), plan.run("ssanet/m2")]
    assert still_rising(plan, runs) == []
    for run, notes in zip(
        runs, ([], ["validation was still rising at the end (DSC +0.030 in the last fifth)"]), strict=True
    ):
        for job in run.jobs:
            write_record(plan.paths.job(run.id, *job) / "run.json", {"spec_hash": run.hash, "notes": notes})
    assert still_rising(plan, runs) == [
        "Validation was still rising at the end in 2 of 4 trainings (ssanet/m2): they were too short"
    ]
