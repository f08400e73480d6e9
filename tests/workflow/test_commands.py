"""The verbs as a person types them, on a finished small demo."""

import csv
import html
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.machines import ABROAD
from covidseg.train.job import OUTPUTS
from tests.conftest import ROOT, Project

FORMATS = ("csv", "md", "tex", "html", "json")
VERBS = (
    *["fetch", "import", "lungs", "tensors", "split", "leaks", "train", "stage", "score", "masks"],
    *["table", "figure", "claims", "report", "show", "trace", "params", "doctor", "clean", "adopt", "resume"],
)


def test_every_verb_has_help() -> None:
    for verb, (code, text) in Project(ROOT).verbs(*(f"{verb} --help" for verb in VERBS)).items():
        assert code == 0
        assert re.search(rf"^Usage: \S+ {verb.removesuffix(' --help')} ", text, re.MULTILINE)


def test_params_prints_one_number() -> None:
    """That of U-Net on one channel and one class is counted by hand in its own test."""
    project = Project(ROOT)
    with project.imported_once("torch"):
        found = project.verbs("params ssanet --follow released", "params unet --in 1 --out 1").values()
    assert [*found] == [(0, "31095809\n"), (0, "31036481\n")]


def test_no_torch_outside_training(finished: Project) -> None:
    probe = (
        "import sys; from pathlib import Path; from covidseg import steps; from covidseg.plan import Plan;"
        "plan = Plan.load(Path('config.yaml'));"
        "steps.score(plan, 'ssanet/m1'); steps.table(plan, 'ssanet', '3'); steps.claims(plan, 'ssanet');"
        "steps.report(plan); steps.show(plan);"
        "assert 'torch' not in sys.modules, 'torch was imported'"
    )
    finished.run("python", "-c", probe)


def test_tables_in_every_format(finished: Project) -> None:
    folder = finished.folder / "results/demo/tables/ssanet"
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        f"{table}.{suffix}" for table in "123" for suffix in FORMATS
    )
    with open(folder / "3.csv", newline="") as f:
        rows = [row for row in csv.DictReader(f) if row["protocol"] == "ssanet"]
    assert len(rows) == 10 * 4  # M1-M4 and E1-E6; DSC, HD95, MAE, NSD
    m1 = next(row for row in rows if row["run"] == "ssanet/m1" and row["column"] == "DSC")
    assert (m1["printed"], m1["folds"], m1["verdict"]) == ("0.600300", "2", "not comparable")
    assert "phantom CT, not patients" in m1["why"]
    m4 = next(row for row in rows if row["run"] == "ssanet/m4" and row["column"] == "DSC")
    assert (m4["ours"], m4["verdict"]) == ("", "not run")


def test_claims_in_every_format(finished: Project) -> None:
    folder = finished.folder / "results/demo/claims"
    assert sorted(path.name for path in folder.iterdir()) == ["ssanet.csv", "ssanet.html", "ssanet.json", "ssanet.md"]
    with open(folder / "ssanet.csv", newline="") as f:
        claims = {row["claim"]: row for row in csv.DictReader(f)}
    assert len(claims) >= 6
    sc = claims["sc-helps-dsc"]
    assert (sc["runs"], sc["printed"], sc["folds"], sc["cases"]) == ("m3 over m1", "0.029100", "2", "8")
    assert (sc["verdict"], sc["caveats"].split("; ")[0]) == (
        "phantoms cannot support a claim",
        "phantom CT, not patients",
    )
    assert float(sc["low"]) <= float(sc["gain"]) <= float(sc["high"])
    assert (claims["both-help"]["verdict"], claims["both-help"]["gain"]) == ("not run", "")  # M4 is left out by only


def test_a_claims_gain_is_the_difference_of_the_tables(finished: Project) -> None:
    with open(finished.folder / "results/demo/tables/ssanet/3.csv", newline="") as f:
        ours = {(row["run"], row["metric"]): row["ours"] for row in csv.DictReader(f) if row["protocol"] == "ssanet"}
    with open(finished.folder / "results/demo/claims/ssanet.csv", newline="") as f:
        claims = {row["claim"]: float(row["gain"]) for row in csv.DictReader(f) if row["gain"]}
    for claim, metric, sign in (("sc-helps-dsc", "dsc", 1), ("sc-helps-mae", "mae", -1)):
        m1, m3 = float(ours["ssanet/m1", metric]), float(ours["ssanet/m3", metric])
        assert claims[claim] == pytest.approx(sign * (m3 - m1), abs=2e-6)


def test_our_number_is_the_mean_of_the_cases(finished: Project) -> None:
    results = finished.folder / "results/demo"
    with open(results / "runs/ssanet/m3/cases.csv", newline="") as f:
        mae = [float(r["mae"]) for r in csv.DictReader(f) if (r["protocol"], r["unit"]) == ("ssanet", "slice")]
    with open(results / "tables/ssanet/3.csv", newline="") as f:
        line = next(r for r in csv.DictReader(f) if (r["run"], r["column"]) == ("ssanet/m3", "MAE"))
    assert float(line["ours"]) == pytest.approx(sum(mae) / len(mae), abs=1e-6)
    assert int(line["slices"]) == len(mae)


def test_the_report_links_only_to_what_lies_beside_it(finished: Project) -> None:
    folder = finished.folder / "results/demo"
    pages = {path.name: path for path in (folder / "report.html", *(folder / "report").glob("*.html"))}
    for path in pages.values():
        for link in re.findall(r'(?:src|href)="(?!data:)([^"]*)"', path.read_text()):
            file, _, place = html.unescape(link).partition("#")
            target = path.parent / file if file else path
            assert target.is_file(), (path, link)
            if place and "=" not in place:
                assert f'id="{place}"' in target.read_text(), (path, link)
    first, paper = (pages[name].read_text() for name in ("report.html", "paper-ssanet.html"))
    for part in ("every slice is phantom CT", "2 runs, 4 trainings", "worst case of ssanet/m3"):
        assert part in first
    for part in ('id="table-3-row-1"', 'data-run="ssanet/m3"', 'id="claim-sc-helps-dsc"'):
        assert part in paper
    assert (folder / "report/runs.html").read_text().count("validation DSC</text>") == 2
    assert len(list((folder / "report/cases/covid-ct-seg").glob("*-truth.png"))) > 4
    page = pages["resources.html"].read_text()
    # jobs, threads, GPUs asked and held, their memory; MiB asked and used, minutes asked and used
    used = r"<td>2</td><td>1</td><td>0</td><td>0</td><td>–</td>(<td>\d{3,4}</td>){2}<td>30</td><td>0\.\d</td>"
    assert len(re.findall(used, page)) == 2


def test_a_figure_of_two_runs(fork: Callable[[], Project]) -> None:
    project = fork()
    project.edit("workflow/papers/ssanet.yaml", ", (M4) backbone+SC+SA: m4}", "}")
    (done, text), (failed, why) = project.verbs("figure ssanet 5", "figure ssanet 1").values()
    assert (done, failed) == (0, 2), text
    folder = project.folder / "results/demo/figures/ssanet"
    assert (folder / "5.pdf").read_bytes().count(b"/Subtype /Image") == 2 * 4  # two slices: CT, M1, M3, truth
    assert (folder / "5.png").read_bytes().startswith(b"\x89PNG")
    assert "medseg-1/import.json" in why  # of no run that was made
    assert "Traceback" not in why


def test_run_json_says_how_it_was_made(finished: Project) -> None:
    facts = json.loads((finished.folder / "results/demo/runs/ssanet/m3/fold1-seed0/run.json").read_text())
    assert (facts["run"], facts["fold"], facts["seed"], facts["mode"], facts["preset"]) == (
        "ssanet/m3",
        1,
        0,
        "demo",
        "small",
    )
    assert facts["spec"]["net"]["spatial_conv"] is True
    assert facts["command"].endswith("train ssanet/m3 --fold 1 --seed 0")
    assert set(facts["versions"]) >= {"python", "torch", "numpy"}
    assert (facts["processor"]["threads"], bool(facts["processor"]["capability"])) == (1, True)
    assert facts["caveats"][0] == "phantom CT, not patients"
    assert len(facts["inputs"]["tensors"]) == 16


@pytest.fixture(scope="module")
def said(finished: Project) -> dict[str, str]:
    """Return what commands that only read say."""
    found = finished.verbs("trace ssanet/3 m1 DSC", "doctor", "show", "show ssanet")
    assert {code for code, _ in found.values()} == {0}, found
    return {command if "show" in command else command.split()[0]: text for command, (_, text) in found.items()}


def test_trace_leads_to_the_record_and_the_command(said: dict[str, str]) -> None:
    assert "printed 0.6003" in said["trace"]
    assert "results/demo/runs/ssanet/m1/cases.csv" in said["trace"]
    assert "results/demo/runs/ssanet/m1/fold1-seed0/run.json" in said["trace"]
    assert "train ssanet/m1 --fold 1 --seed 0" in said["trace"]


def test_doctor_is_content_with_a_finished_demo(said: dict[str, str]) -> None:
    assert "4 of 4 trainings are done" in said["doctor"]  # M1 and M3 on two folds
    assert "BAD" not in said["doctor"]


def test_show_prints_paper_beside_ours(said: dict[str, str]) -> None:
    assert "ssanet, table 3" in said["show ssanet"]
    assert "0.600 / 0." in said["show ssanet"]
    assert re.search(r"sc-helps-dsc +│ \+0.0291 │ .* │ phantoms cannot support a claim", said["show ssanet"])
    assert re.search(r"\n│ ssanet +│", said["show"])
    assert len(said["show"].splitlines()) < 30
    assert "results/demo/report.html" in said["show"]


def test_the_same_seed_gives_the_same_bytes(finished: Project, fork: Callable[[], Project]) -> None:
    """On a machine with other cores and threads, time zone and locale, too: its C locale knows ASCII only."""
    project = fork()
    project.environment |= ABROAD | {"OMP_NUM_THREADS": "2"}
    job = "results/demo/runs/ssanet/m3/fold0-seed0"
    for name in ("model.safetensors", "predictions.h5", "history.csv", "run.json"):
        (project.folder / job / name).unlink()
    project.run("covidseg", "train", "ssanet/m3", "--fold", "0", "--seed", "0")
    project.run("covidseg", "table", "ssanet", "3")
    for path in (
        *(f"{job}/{name}" for name in OUTPUTS),
        *(f"results/demo/tables/ssanet/3.{suffix}" for suffix in FORMATS),
    ):
        assert (project.folder / path).read_bytes() == (finished.folder / path).read_bytes()
    assert "ssanet, table 3" in project.run("covidseg", "show", "ssanet/3")


def test_phantom_and_stores_are_the_same_bytes_again(finished: Project, fork: Callable[[], Project]) -> None:
    project = fork()
    made = project.verbs(*(f"{verb} covid-ct-seg" for verb in ("fetch", "import", "lungs")), "tensors covid-ct-seg 32")
    assert {code for code, _ in made.values()} == {0}, made
    for name in (
        "canonical/covid-ct-seg/slices.h5",
        "canonical/covid-ct-seg/lungs.h5",
        "tensors/covid-ct-seg/32/image.npy",
    ):
        path = Path("data/demo") / name
        assert (project.folder / path).read_bytes() == (finished.folder / path).read_bytes()


REFUSED = {
    "train ssanet/m9": "unknown run 'ssanet/m9'",
    "train ssanet/m1 --fold 7": "ssanet/m1: split 'ma5' has no fold 7; legal: 0, 1, 2, 3, 4",
    "train ssanet/m4 --fold 0 --config": "No such option: --config",
    "fetch covid-ct-sge": "unknown data set 'covid-ct-sge'; did you mean 'covid-ct-seg'?",
    "tensors medseg-1 32": "lungs.json: missing; run covidseg lungs medseg-1 first",
    "score ssanet/m4": "predictions.h5: missing; run covidseg train ssanet/m4 --fold 0 --seed 0 first",
    "score": "score takes either a RUN, or all of --protocol, --truth, --pred and --out",
    "score --protocol standrd --truth . --pred . --out .": "unknown protocol 'standrd'; did you mean 'standard'?",
    "table ssanet 33": "unknown table '33'",
    "claims ssanett": "unknown paper 'ssanett'; did you mean 'ssanet'?",
    "claims lungmask": "workflow/papers/lungmask.yaml: claims: there is none to test",
    "resume": "no Snakemake was killed here; run snakemake",
    "resume --orphans wiat": "--orphans: unknown value 'wiat'; legal: wait, cancel",
    "trace ssanet/3 m1 DSCC": "no column 'DSCC'; did you mean 'DSC'?",
    "params ssanett": "did you mean 'ssanet'?",
}


def test_wrong_words_are_one_line(finished: Project) -> None:
    for text, message in zip(finished.refused(*REFUSED), REFUSED.values(), strict=True):
        assert message in text
