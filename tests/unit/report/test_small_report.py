"""The report of a small project, made step by step: its pages, pictures and numbers, without a browser."""

from __future__ import annotations

import dataclasses
import html
import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import yaml
from PIL import Image

from covidseg import report, steps
from covidseg.base import csvfile
from covidseg.base.errors import UserError
from covidseg.inference.export import model_of
from covidseg.jobs import record
from covidseg.plan import Plan
from covidseg.report import about, cases, claims, masks, paper, pictures, runs
from covidseg.report.numbers import metrics
from covidseg.report.rounds import mean_by_round, rounds
from covidseg.tables.datasets import dataset_cells
from covidseg.upkeep.repair import repair
from tests.records import write_record
from tests.unit import small_project
from tests.unit.small_project import DATASET, PAPER, TESTED, truth

MORE = yaml.safe_load("""
runs: {plain: {}, wide: {net: {name: unet, width: 0.125}}}
tables:
  "1":
    caption: Two networks
    metrics: {Dice: dice, Sen: sen}
    rows: [{label: Plain, run: plain, printed: [0.5, 0.25]}, {label: Wide, run: wide}]
  "2":
    kind: datasets
    caption: The scans
    columns: {All: all, Cases: cases, Slices: slices, Classes: classes, Lung: lung, Infection: infection}
    rows: [{label: Made, datasets: [covid-ct-seg], classes: [infection], printed: {All: 40, Slices: 21, Lung: 1}}]
figures:
  "1":
    kind: examples
    caption: Scans
    groups: [{label: Made, dataset: covid-ct-seg, classes: [infection], slices: 1}]
claims:
  - {id: wide-helps, says: Width helps <much>, where: section 1, better: wide, than: plain, metric: dice, by: 0.1}
masks: [plain]
""")
IDS = ["two/plain", "two/wide"]
BOUND = "1 of 5 folds (0)"  # what the preset changes


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plan]:
    """Return the plan of a project that is finished."""
    with small_project.project(tmp_path_factory.mktemp("project"), PAPER | MORE) as plan:
        steps.leaks(plan, DATASET, "ma5")
        for run in IDS:
            steps.train(plan, run, 0, 0)
            steps.score(plan, run)
        steps.masks(plan, "two/plain")
        for table in ("1", "2"):
            steps.table(plan, "two", table)
        steps.figure(plan, "two", "1")
        steps.claims(plan, "two")
        steps.report(plan)
        yield plan


@pytest.fixture(scope="module")
def dice(plan: Plan) -> dict[str, list[float]]:
    """Return run -> the Dice of each tested case's slice with infection, from the predictions themselves."""
    found = {}
    for run in IDS:
        with h5py.File(plan.paths.job(run, 0, 0) / "predictions.h5") as file:
            predicted = file["prob"][:, 0] >= 128
        truths = [truth(name)[1] == 1 for name in TESTED]
        assert len(predicted) == len(truths)
        found[run] = [2 * float((a & b).sum() / (a.sum() + b.sum())) for a, b in zip(predicted, truths, strict=True)]
    return found


def script(path: Path) -> Any:
    """Return what a script of the report holds."""
    text = path.read_text()
    return json.loads(text[re.search(r"[\[{]", text).start() :].rstrip().rstrip(";)"))  # type: ignore[union-attr]


def words(path: Path) -> str:
    """Return a page's text, without marks, scripts and drawings."""
    text = re.sub(r"<(script|style|svg).*?</\1>", "", path.read_text(), flags=re.S)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", text)).split())


# ---- the first page


def test_what_was_run_in_a_line_each(plan: Plan, tmp_path: Path) -> None:
    found = about.facts(plan)
    ended = max(record.read(plan.paths.job(run, 0, 0) / "run.json")["finished"] for run in IDS)
    assert found | {"Code": ""} == {
        "Mode": "paper: the real data",
        "Preset": "tiny: one fold",
        "Data": "1 data set; at most 1 fold a split, seeds 0",
        "Stand-ins": "none",
        "Trained": f"2 runs, 2 trainings; the last ended {ended}",
        "Code": "",
        "Settings": "config.yaml",
    }
    plan = Plan.load({"papers": ["two"], "only": ["two/plain"], "folds": [0, 2], "results": str(tmp_path)})
    for fold, day in ((0, 2), (2, 1)):
        path = plan.paths.job("two/plain", fold, 0) / "run.json"
        write_record(path, {"spec_hash": "", "finished": f"2026-01-0{day}T00:00:00Z"})
    found = about.facts(plan)
    assert found["Mode"] == "demo: phantom CT, not patients"
    assert found["Data"] == "phantom CT, generated here, of 1 data set; folds 0, 2, seeds 0"
    assert found["Trained"] == "1 run, 2 trainings; the last ended 2026-01-02T00:00:00Z"


def test_the_commit_and_whether_files_were_changed(tmp_path: Path) -> None:
    assert about.commit(tmp_path) == "no commit: not in a git checkout"
    git = ["git", "-c", "user.name=n", "-c", "user.email=e@example.org"]
    (tmp_path / "a").write_text("1")
    for line in (["init", "-q"], ["add", "a"], ["commit", "-q", "-m", "a"]):
        subprocess.run([*git, *line], cwd=tmp_path, check=True)
    assert re.fullmatch(r"commit [0-9a-f]{7,} of \d{4}-\d\d-\d\d", about.commit(tmp_path))
    (tmp_path / "new").write_text("not of the repository")
    assert "changes" not in about.commit(tmp_path)
    (tmp_path / "a").write_text("2")
    assert about.commit(tmp_path).endswith(", with uncommitted changes")


def test_what_limits_belief_the_most_common_first(plan: Plan) -> None:
    assert [dataclasses.astuple(limit) for limit in about.limits(plan)] == [(BOUND, 2, 2, {})]
    scaled = about.limits(Plan.load({"mode": "paper", "preset": "cpu", "papers": ["two"]}))
    assert [limit.runs for limit in scaled] == sorted((limit.runs for limit in scaled), reverse=True)
    (preset,) = [limit for limit in scaled if limit.settings]
    assert preset.words.startswith(f"preset cpu changes {len(preset.settings)} settings: ")
    assert (preset.runs, preset.of) == (2, 2)
    assert preset.settings["net.width"] == {"0.0625 to 0.03125": 1, "0.125 to 0.0625": 1}


def test_the_overview_counts_verdicts_and_leaks(plan: Plan) -> None:
    text = words(plan.paths.report)
    assert f"What limits belief {BOUND} (all runs)" in text
    assert "two table 1 – – – 2 2 – two table 2 2 – 1 – 3 –" in text
    assert "covid-ct-seg ma5 – 0 0 Leaks: no patient" in words(plan.paths.report.with_suffix("") / "leaks.html")
    assert "COVID-19-CT-Seg CC BY-NC-SA (one listing of the record says CC BY 4.0) 20 40 labels" in words(
        plan.paths.report.with_suffix("") / "leaks.html"
    )


# ---- a paper's page


def test_a_papers_page(plan: Plan, tmp_path: Path) -> None:
    found = paper.page(plan, "two", tmp_path)
    tables = [(t["name"], t["title"], t["column"], t["rows"]) for t in found["tables"]]
    assert tables == [("1", "Two networks", "Dice", ["Plain", "Wide"]), ("2", "The scans", "", ["Made"])]
    assert found["tables"][0]["body"].lstrip().startswith("<div")
    assert found["tables"][0]["body"].rstrip().endswith("</details>")
    assert found["tables"][1]["chart"] == ""
    chart = found["tables"][0]["chart"]
    assert [link in chart for link in ("#table-1-row-1", "#table-1-row-2", "#table-1-row-3")] == [True, True, False]
    assert chart.count('class="printed"') == 1
    (figure,) = found["figures"]
    with Image.open(tmp_path / "figures/two-1.png") as image:
        assert (figure["width"], figure["height"]) == (image.width // 2, image.height // 2)
    assert (figure["name"], figure["file"], figure["lead"]) == ("1", "figures/two-1.png", "Scans")
    assert all(sentence.endswith(".") and not sentence.endswith("..") for sentence in figure["said"])
    assert [section["run"] for section in found["masks"]] == ["two/plain"]


def test_a_claims_line_and_its_drawing(plan: Plan, dice: dict[str, list[float]]) -> None:
    found = claims.claims(plan, "two")
    gain = np.mean(dice["two/wide"]) - np.mean(dice["two/plain"])
    (line,) = found["lines"]
    told = dataclasses.asdict(line)
    assert told | {"interval": ""} == {
        "id": "wide-helps", "says": "Width helps <much>", "where": "section 1", "runs": "wide over plain",
        "column": "Dice", "printed": "+0.1000", "ours": f"{gain:+.4f}", "interval": "", "p": "–", "cases": 4,
        "slices": 4, "verdict": "inconclusive", "sign": "?", "kind": "c-inconclusive", "notes": [1, 2, 3],
    }  # fmt: skip
    low, high = map(float, line.interval.strip("[]").split(", "))
    assert low <= round(gain, 4) <= high
    assert found["remarks"] == [
        "4 cases; fewer than 6 cannot decide", BOUND, "one seed, so the chance of training is left out",
    ]  # fmt: skip
    (title,) = found["plots"]
    assert title == "Dice, protocol standard"
    assert 'href="#claim-wide-helps"' in found["plots"][title]
    assert "Width helps &lt;much&gt; ?" in found["plots"][title]


def test_a_data_set_is_counted(plan: Plan) -> None:
    """20 scans of two slices, one of them with infection, on 16 of them 20 of its 1024 pixels."""
    table: Any = plan.papers["two"].tables["2"]
    cells = {cell.column: cell for cell in dataset_cells(plan, table)}
    share = (17 * 20 + 40 + 60 + 80) / 20 / 1024
    assert {column: cell.ours for column, cell in cells.items()} == {
        "All": 40, "Cases": 20, "Slices": 20, "Classes": 1, "Lung": 1, "Infection": pytest.approx(share),
    }  # fmt: skip
    assert {column: cell.verdict for column, cell in cells.items()} == {
        "All": "equal", "Cases": "", "Slices": "differs", "Classes": "", "Lung": "equal", "Infection": "",
    }  # fmt: skip
    assert [cells[column].difference for column in ("All", "Cases", "Slices")] == [0, None, -1]
    assert [cells[column].digits for column in ("All", "Cases", "Slices", "Classes", "Lung")] == [0, 0, 0, 0, 4]
    assert (cells["All"].run, cells["All"].slices, cells["All"].why) == (DATASET, 20, "")
    assert table.origin(plan, cells["All"]) == [f"counted in data/paper/canonical/{DATASET}/slices.csv"]
    assert table.words(plan, "two", "2") == ["Mode paper", f"Lung masks: {DATASET} labels."]


# ---- cases, masks and runs


def test_every_tested_case_is_shown(plan: Plan, dice: dict[str, list[float]]) -> None:
    folder = plan.paths.report.with_suffix("") / "cases" / DATASET
    known = script(folder / "cases.js")
    assert (known["title"], known["window"], known["classes"]) == ("COVID-19-CT-Seg", [-1250, 250], ["infection"])
    assert known["runs"] == {run: ["infection"] for run in IDS}
    assert list(known["cases"]) == TESTED
    for k, (name, case) in enumerate(known["cases"].items()):
        of = {run: case["runs"].pop(run) for run in IDS}
        assert case == {
            "number": f"{k:03d}", "patient": name, "slices": [f"{name}/001"], "positions": [1], "columns": 1,
            "size": [32, 32], "mm": [1, 2], "hu": False, "sides": True, "runs": {},
        }  # fmt: skip
        for run, shown in of.items():
            assert shown["dice"] == [round(dice[run][k], 4)]
            mask = pictures.read_masks(folder / shown["file"])
            truth_ = pictures.read_masks(folder / f"{k:03d}-truth.png")
            assert np.array_equal(truth_, truth(name)[1] == 1)
            assert 2 * (mask & truth_).sum() / (mask.sum() + truth_.sum()) == pytest.approx(dice[run][k])
        with Image.open(folder / f"{k:03d}-ct.jpg") as image:
            assert (image.size, image.mode) == ((32, 32), "L")
    index = (folder.parent / "index.js").read_text()
    means = [{run: round(dice[run][k], 4) for run in IDS} for k in range(4)]
    lines = [[DATASET, name, name, 1, mean] for name, mean in zip(TESTED, means, strict=True)]
    assert index == f'covidsegCases("",{json.dumps(lines, separators=(",", ":"))});\n'


def test_the_worst_and_the_best_case_of_the_run_that_claims_put_forward(
    plan: Plan, dice: dict[str, list[float]], tmp_path: Path
) -> None:
    shown = cases.write(plan, tmp_path)
    means = [np.mean([dice[run][TESTED.index(case.name)] for run in IDS]) for case in shown]
    assert means == sorted(means)
    assert cases.own_run(plan, "two", shown) == "two/wide"
    assert cases.own_run(plan, "another", shown) is None
    found = list(cases.extremes(plan, shown, tmp_path))
    order = sorted(range(4), key=lambda k: (round(dice["two/wide"][k], 4), TESTED[k]))
    assert [(one["which"], one["case"].name) for one in found] == [
        ("worst", TESTED[order[0]]), ("best", TESTED[order[-1]]),
    ]  # fmt: skip
    for one in found:
        assert one["link"] == f"case={DATASET}/{one['case'].name}&run=two/wide&slice=1"
        assert (one["paper"], one["run"], one["slice"]) == ("two", "two/wide", f"{one['case'].name}/001")
        assert one["mean"] == one["dice"] == round(dice["two/wide"][TESTED.index(one["case"].name)], 4)
        with Image.open(tmp_path / one["file"]) as image:
            assert max(image.size) == 220


def test_masks_of_whole_scans_on_the_page(plan: Plan, tmp_path: Path) -> None:
    found = masks.section(plan, "two/plain", tmp_path)
    assert found["caption"].startswith("4 scans of covid-ct-seg; 16 on which all models trained have none. ")
    assert "Lesion in lung: lesion voxels inside the lungs by lung voxels. Lung masks: labels. " in found["caption"]
    assert (found["montage"], found["pictured"]) == (["masks/two-plain/montage.png"], 4)
    assert (tmp_path / "masks/two-plain/montage.png").is_file()
    table = [re.findall(r"<t[hd]>(.*?)</t[hd]>", row) for row in found["table"].split("<tr>")[1:]]
    assert table[0][:6] == ["scan", "role", "slices", "models", "lesion, ml", "true lesion, ml"]
    assert [row[:4] + row[5:6] for row in table[1:]] == [
        [name, "labelled", "2", "1", ml] for name, ml in zip(TESTED, ("0.2", "0.4", "0.6", "0.8"), strict=True)
    ]
    volumes, differences = found["charts"]
    assert volumes.count('class="bar') == 4
    assert differences.count("<circle") == 4


def test_runs_and_what_they_cost(plan: Plan) -> None:
    lines = runs.table(plan)
    made = [record.read(plan.paths.job(run, 0, 0) / "run.json") for run in IDS]
    for line, run, facts in zip(lines, IDS, made, strict=True):
        charts = line.pop("charts")
        assert line == {
            "run": run, "net": "unet", "parameters": facts["parameters"], "dataset": DATASET, "folds": 1, "seeds": 1,
            "epochs": "1 epoch", "best": "0", "val": f"{facts['val_dsc']:.3f}", "seconds": facts["wall_seconds"],
            "device": "cpu", "notes": "; ".join(facts["notes"]), "folder": f"results/paper/runs/{run}",
            "slug": run.replace("/", "-"), "method": "supervised",
        }  # fmt: skip
        titles = ["validation DSC", "cross entropy loss", "learning rate"]
        assert [title in chart for title, chart in zip(titles, charts, strict=True)] == [True] * 3
    assert rounds(plan) is None


def test_how_a_number_was_made(plan: Plan, dice: dict[str, list[float]]) -> None:
    made = script(plan.paths.report.with_suffix("") / "made-two.js")
    assert made["words"] == {"2": {"Made": [f"counted in data/paper/canonical/{DATASET}/slices.csv"]}}
    assert list(made["runs"]) == IDS
    for run, facts in made["runs"].items():
        means = facts.pop("means")["standard"]
        assert means["infection"] == means["average"]
        assert means["infection"]["dice"] == [float(f"{np.mean(dice[run]):.5g}")]
        assert facts == {
            "cases": f"results/paper/runs/{run}/cases.csv",
            "score": f"covidseg --config config.yaml score {run}",
            "net": json.dumps({"name": "unet", "width": 0.0625 if run == IDS[0] else 0.125}),
            "jobs": [
                {
                    "fold": 0,
                    "seed": 0,
                    "record": f"results/paper/runs/{run}/fold0-seed0/run.json",
                    "command": f"covidseg --config config.yaml train {run} --fold 0 --seed 0",
                }
            ],
        }


def test_a_number_is_followed_to_where_it_comes_from(plan: Plan, dice: dict[str, list[float]]) -> None:
    value = round(float(np.mean(dice["two/plain"])), 6)
    first, *lines = steps.trace(plan, "two/1", "Plain", "Dice").splitlines()
    assert first == f"Table 1 of two, Plain, Dice: printed 0.5, ours {value} (not comparable)"
    assert any("results/paper/runs/two/plain/cases.csv" in line for line in lines)
    assert any("covidseg --config config.yaml train two/plain --fold 0 --seed 0" in line for line in lines)
    for table, row, column, message in (
        ("three/1", "Plain", "Dice", "unknown paper 'three'"),
        ("two/7", "Plain", "Dice", "unknown table '7'"),
        ("two/1", "Plane", "Dice", "no row 'Plane'.*Plain"),
        ("two/1", "Plain", "dice", "no column 'dice'.*Dice"),
    ):
        with pytest.raises(UserError, match=message):
            steps.trace(plan, table, row, column)


def test_numbers_in_files_of_their_own(plan: Plan, dice: dict[str, list[float]]) -> None:
    ours = {run: round(float(np.mean(dice[run])), 6) for run in IDS}
    found = metrics(plan)["two"]["table 1"]
    assert {run: values["Dice"] for run, values in found.items()} == ours
    folder = plan.paths.report.with_suffix("") / "metrics/two/table-1"
    assert {path.stem: json.loads(path.read_text()) for path in folder.iterdir()} == {
        run.removeprefix("two/"): values for run, values in found.items()
    }
    kinds = {"row": str, "column": str, "printed": float, "ours": float}
    plots = list(csvfile.read(plan.paths.results / "plots.csv", kinds.__getitem__))
    assert [(row["row"], row["column"], row["ours"]) for row in plots] == [
        ("two 1: Plain", "Dice", ours[IDS[0]]), ("two 1: Wide", "Dice", ours[IDS[1]]),
    ]  # fmt: skip
    assert plots[0]["printed"] == 0.5
    text = (plan.paths.results / "tables.md").read_text()
    assert text.startswith("# Tables, mode paper, preset tiny\n\n## two, table 1: Two networks\n\n")


def test_everything_is_found(plan: Plan) -> None:
    text = (plan.paths.report.with_suffix("") / "search.js").read_text()
    found = json.loads(text.removeprefix("covidsegFound(").removesuffix(");\n"))
    assert found[:9] == [
        ["paper", "two: A small paper", "paper-two.html"],
        ["table", "two table 1: Two networks", "paper-two.html#table-1"],
        ["row", "Plain, two table 1", "paper-two.html#table-1"],
        ["row", "Wide, two table 1", "paper-two.html#table-1"],
        ["table", "two table 2: The scans", "paper-two.html#table-2"],
        ["row", "Made, two table 2", "paper-two.html#table-2"],
        ["figure", "two figure 1: Scans", "paper-two.html#figure-1"],
        ["claim", "Width helps <much> (two, Dice)", "paper-two.html#claim-wide-helps"],
        ["run", "two/plain unet", "runs.html#two-plain"],
    ]
    assert found[-2] == [
        "case", f"{TESTED[3]} of {DATASET}, patient {TESTED[3]}", f"cases.html#case={DATASET}/{TESTED[3]}",
    ]  # fmt: skip
    assert found[-1] == ["data", f"{DATASET}: COVID-19-CT-Seg", f"leaks.html#data-{DATASET}"]


# ---- self-training, in another project


def test_rounds_of_every_training(tmp_path: Path) -> None:
    plan = Plan.load(
        {"mode": "demo", "papers": ["ssanet"], "only": ["ssanet/s1"], "seeds": [0, 1], "results": str(tmp_path)}
    )
    run = plan.run("ssanet/s1")
    line = {"class_pixels": {"background": 30, "lesion": 10}, "class_weights": {"lesion": 2.0}, "untrusted": 0.25}
    for (fold, seed), dsc in zip(run.jobs, (0.5, 0.7), strict=True):
        lines = [{"round": 0, "val_dsc": dsc}, {"round": 1, "val_dsc": None, "agreement": 0.4, **line}]
        write_record(plan.paths.job(run.id, fold, seed) / "run.json", {"spec_hash": run.hash, "rounds": lines})
    found = rounds(plan)
    assert found is not None
    assert [(one["run"], one["seed"], one["round"], one["trusted"]) for one in found["lines"]] == [
        ("ssanet/s1", 0, 0, None), ("ssanet/s1", 0, 1, 0.75), ("ssanet/s1", 1, 0, None), ("ssanet/s1", 1, 1, 0.75),
    ]  # fmt: skip
    assert found["lines"][1]["shares"] == "background 0.750, lesion 0.250"
    assert found["lines"][1]["weights"] == "lesion 2.000"
    assert found["runs"] == [(0, "ssanet/s1")]
    assert len(found["charts"]) == 2
    means = mean_by_round(found["lines"])
    assert means == {"val_dsc": [(0, pytest.approx(0.6))], "agreement": [(1, pytest.approx(0.4))]}


# ---- what is done with a finished project


def test_a_run_becomes_a_model_for_new_scans(plan: Plan, dice: dict[str, list[float]]) -> None:
    settings = model_of(plan, plan.run("two/plain")).settings
    assert (settings.members, settings.labels) == (1, {"infection": 1})
    assert (settings.window, settings.crop) == ((-1250, 250), 512)
    assert (settings.lungs, settings.lung_network, settings.prior) == ("threshold", None, None)
    assert settings.phantoms is False
    assert settings.caveats == [
        BOUND, "trained with drawn lung masks; those of new scans are made by threshold",
    ]  # fmt: skip
    assert settings.intensities == "8-bit"
    assert (settings.data["cases"], settings.data["folds"]) == ({"labelled": 20}, 1)
    assert settings.scores["standard"]["infection"]["dice"]["mean"] == pytest.approx(np.mean(dice["two/plain"]))


def test_equal_results_give_equal_pages_and_other_files_are_set_aside(plan: Plan) -> None:
    folder = plan.paths.report.with_suffix("")
    before = {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert report.write(plan) is None
    assert {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    (folder / "notes.txt").write_text("a reader's own")
    kept = report.write(plan)
    assert kept is not None
    assert (kept / "notes.txt").read_text() == "a reader's own"
    assert {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_what_would_be_repaired(plan: Plan) -> None:
    said: list[str] = []
    assert repair(plan, True, [], said.append) == 0
    assert said == ["nothing to repair"]
    path = plan.paths.table("two", "1", "csv")
    whole = path.read_bytes()
    try:
        path.write_bytes(whole.replace(b"Plain", b"Plane"))
        said.clear()
        assert repair(plan, True, [], said.append) == 0
    finally:
        path.write_bytes(whole)
    assert said[0].startswith("would repair: ")
    assert "tables/two/1.csv" in said[0]
    assert path.with_suffix(".json").is_file()
