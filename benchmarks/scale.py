"""How planning, the dry run, the report and tensors grow: cost per run and per slice, and memory.

    python benchmarks/scale.py runs [10 100 1000 ...]      generated papers of 50 runs, results that nobody trained
    python benchmarks/scale.py slices [100 1000 ...]       generated scans of 10 slices, cut to 64 x 64

A training takes TRAINED slices an epoch, however many there are; a tenth of the others validates, a fifth is tested and
predicted. The leak check is that of five folds, which compares all slices with all. Times are CPU seconds of a process
of its own, so that other work on the machine counts little. Every size is a fresh project in a temporary folder. A size
that would take longer than LIMIT, judged by the one before it, is extrapolated.
"""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
SIZES = {"runs": [10, 100, 1000, 2000, 10_000], "slices": [100, 1000, 10_000]}
LIMIT = 600.0  # seconds of one step
PER_PAPER = 50
PER_SCAN = 10
TRAINED = 240
SHARED = 0.5
TEXTURE = 100  # HU; the hashes of a fifth of all slices of two patients then agree, as those of real ones do

PLAN = "from covidseg.plan import Plan; from pathlib import Path; plan = Plan.load(Path('config.yaml'))\n"
MADE = "from covidseg import claims, tables\nfor p, n, _ in plan.targets.tables(): tables.write(plan, p, n)\n"
MADE += "for p in plan.targets.claims(): claims.write(plan, p)"
LOAD = "from covidseg.data.tensors import load; load(plan.paths.tensors('many', 64))"
STEPS = {
    "runs": {
        "plan": [
            "python",
            "-c",
            PLAN + "plan.graph.all_runs(); plan.graph.tensor_sets(); plan.graph.leak_sets(); plan.snapshot()",
        ],
        "dry run": ["snakemake", "--dry-run", "--quiet", "all", "--cores", "1"],
        "tables, claims": ["python", "-c", PLAN + MADE],
        "report": ["covidseg", "report"],
    },
    "slices": {
        "import": ["covidseg", "import", "many"],
        "lungs": ["covidseg", "lungs", "many"],
        "tensors": ["covidseg", "tensors", "many", "64"],
        "open": ["python", "-c", PLAN + LOAD],
        "split": ["covidseg", "split", "many-folds-5"],
        "train": ["covidseg", "train", "many/a", "--fold", "0", "--seed", "0"],
        "score": ["covidseg", "score", "many/a"],
        "leaks": ["covidseg", "leaks", "many", "many-folds-5"],
    },
}


def timed(command: list[str], folder: Path) -> tuple[float, float]:
    """Run a command in a project; return its CPU seconds and its peak memory in MiB."""
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT / "src"),
        "OMP_NUM_THREADS": "1",
    }
    process = subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert process.stderr
    said = process.stderr.read()
    _, status, used = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"{' '.join(command)}: {said.decode()[-2000:]}")
    return used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


def project(folder: Path, **config: object) -> None:
    """Lay out a project: the workflow as it is, and a configuration."""
    shutil.copytree(ROOT / "workflow", folder / "workflow")
    shutil.copy(ROOT / "Snakefile", folder)
    (folder / "config.yaml").write_text(yaml.safe_dump(config))


def with_runs(folder: Path, number: int) -> None:
    """Lay out a project of ``number`` runs, their results generated, for all that needs no training."""
    papers = [f"paper{k:04d}" for k in range(-(-number // PER_PAPER))]
    project(folder, papers=papers, folds=[0], preset="tiny")
    text = yaml.safe_load((ROOT / "workflow/papers/ssanet.yaml").read_text())
    head, rows = {key: text[key] for key in ("paper", "defaults", "deviations")}, range(number)
    for k, paper in enumerate(papers):
        own = [f"r{i}" for i in rows[k * PER_PAPER : (k + 1) * PER_PAPER]]
        table = {
            "caption": "Generated",
            "protocol": "ssanet",
            "metrics": {"DSC": "dsc", "MAE": "mae"},
            "rows": [{"label": run, "run": run, "printed": {"DSC": 0.5}} for run in own],
        }
        claim = {"id": "a", "says": "a", "where": "b", "better": own[0], "than": own[-1], "protocol": "ssanet"}
        made = {
            **head,
            "runs": {run: {"train": {"optimizer": {"lr": 1e-3 + 1e-9 * int(run[1:])}}} for run in own},
            "tables": {"1": table},
            "claims": [{**claim, "metric": "dsc"}],
        }
        (folder / "workflow/papers" / f"{paper}.yaml").write_text(yaml.safe_dump(made))


def results(folder: Path) -> None:
    """Write the results that trainings, scores and leak checks of a project would have left; run in its folder."""
    from covidseg.base import records
    from covidseg.base.files import sha256
    from covidseg.plan import Plan
    from covidseg.upkeep.freshness import scores_made_from

    os.chdir(folder)
    plan = Plan.load(Path("config.yaml"))
    trained = {"parameters": 1, "best_epoch": 1, "val_dsc": 0.5, "wall_seconds": 1.0, "peak_memory_mb": 1}
    for run_id in plan.graph.all_runs():
        run = plan.run(run_id)
        for fold, seed in run.jobs:
            job = plan.paths.job(run_id, fold, seed)
            files = {"inputs": {"split": sha256(plan.catalogue.split_path(run.spec.split))}}
            spec = {"spec_hash": run.hash, "spec": run.spec.model_dump(mode="json")}
            job.mkdir(parents=True)
            (job / "history.csv").write_text("epoch,loss,val_dsc\n0,1,0.4\n1,1,0.5\n")
            about = {"device": "cpu", "command": "none", "finished": "2026-01-01T00:00:00Z"}
            records.write(job / "run.json", [job / "history.csv"], **spec, **trained, **files, **about)
        columns = ["protocol", "fold", "seed", "unit", "case", "slice", "class"]
        columns += ["dsc", "hd95_rowset", "mae", "nsd", "dice", "sen", "spe", "hd95", "length_unit"]
        lines = [
            [protocol, 0, 0, unit, case, slice_, run.spec.classes[0], 0.5, 1, 0.1, 0.5, 0.5, 0.5, 0.5, 1, "px"]
            for protocol in plan.targets.protocols(run_id)
            for case in plan.catalogue.split(run.spec.split).cases(0, "test")
            for unit, slice_ in (("slice", f"{case}/000"), ("case", ""))
        ]
        cases = plan.paths.run(run_id) / "cases.csv"
        with open(cases, "w", newline="") as f:
            csv.writer(f).writerows([columns, *lines])
        records.write(cases.with_name("summary.json"), [cases], made_from=scores_made_from(plan, run), means={})
    for dataset, split in plan.graph.leak_sets():
        found = {"finding": "Leaks: none.", "compared_with": [], "within": {"patient": 0, "slice": 0}}
        about = {"dataset": dataset, "split": split, "hash_bits": 1, "correlation": 0.9}
        records.write(plan.paths.leaks(dataset, split, "json"), **found, **about)
    for name in plan.graph.all_datasets():
        plan.paths.canonical(name).mkdir(parents=True)
        (plan.paths.canonical(name) / "slices.csv").write_text("slice,case\na/000,a\n")
        records.write(plan.paths.canonical(name) / "import.json", [plan.paths.canonical(name) / "slices.csv"])


def with_slices(folder: Path, number: int) -> None:
    """Lay out a project with a folder of scans of ``number`` slices and one run on them."""
    import nibabel as nib
    import numpy as np

    project(folder, mode="paper", papers=["many"], folds=[0], device="cpu")
    text = {"title": "many", "about": "generated", "licence": "none", "importer": "folder", "folder": "scans"}
    dataset = {**text, "classes": {"infection": 1}, "window": [-1250, 250]}
    (folder / "workflow/datasets/many.yaml").write_text(yaml.safe_dump(dataset))
    row = {"label": "a", "run": "a", "printed": {"DSC": 0.5}}
    table = {"caption": "Generated", "protocol": "standard", "metrics": {"DSC": "dice"}, "rows": [row]}
    run = {
        "dataset": "many",
        "split": "many-folds-5",
        "classes": ["infection"],
        "input": {"size": 64, "mode": "slice"},
        "net": {"name": "unet", "width": 0.125},
        "losses": {"dice": {}},
        "train": {"epochs": 2, "batch": 8, "slices_per_epoch": TRAINED},
    }
    head = {"title": "Generated", "authors": "none", "venue": "none", "doi": "10.0/0"}
    paper = {"paper": head, "defaults": run, "runs": {"a": {}}, "tables": {"1": table}}
    (folder / "workflow/papers/many.yaml").write_text(yaml.safe_dump(paper))
    for kind in ("imagesTr", "labelsTr"):
        (folder / "scans" / kind).mkdir(parents=True)
    (folder / "scans/dataset.json").write_text(json.dumps({"labels": {"background": 0, "infection": 1}}))
    for k in range(number // PER_SCAN):
        image = chest(k)
        for kind, array in (("imagesTr", image), ("labelsTr", (image > -200).astype(np.uint8))):
            path = folder / "scans" / kind / f"scan{k:06d}.nii"
            nib.save(nib.nifti1.Nifti1Image(array, np.diag([1.5, 1.5, 5, 1])), path)


def chest(seed: int) -> Any:
    """Return a scan (96, 96, slices) in HU: two lungs, the same in all, and each scan's own texture."""
    import numpy as np
    from scipy.ndimage import gaussian_filter

    y, x = np.mgrid[:96, :96] / 96 - 0.5
    lungs = ((np.abs(x) - 0.22) / 0.16) ** 2 + (y / 0.33) ** 2 < 1
    chest = gaussian_filter(-200 - 450.0 * lungs + 100 * x - 100 * y, 4)
    random = (np.random.default_rng(k).standard_normal((96, 96, PER_SCAN), np.float32) for k in (seed, 10**6))
    own, shared = (gaussian_filter(noise, (2, 2, 3)) for noise in random)
    noise = own + SHARED * shared
    return (chest[..., None] + TEXTURE * noise / noise.std()).astype(np.int16)


def main() -> None:
    """Measure every step at every size; print seconds, seconds per thousand and memory."""
    kind = sys.argv[1]
    sizes = [int(text) for text in sys.argv[2:]] or SIZES[kind]
    before: dict[str, tuple[int, float]] = {}
    print(f"{kind:>8}  {'step':16} {'s':>8} {'s per 1000':>11} {'MiB':>6}")
    for size in sizes:
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary) / "project"
            (with_runs if kind == "runs" else with_slices)(folder, size)
            if kind == "runs":
                results(folder)
            for step, command in STEPS[kind].items():
                last, seconds = before.get(step, (size, 0.0))
                if step in before and seconds * size / last > LIMIT:
                    print(f"{size:8}  {step:16} {seconds * size / last:8.1f} (extrapolated from {last})")
                    continue
                seconds, memory = timed(command, folder)
                before[step] = size, seconds
                print(f"{size:8}  {step:16} {seconds:8.2f} {1000 * seconds / size:11.3f} {memory:6.0f}", flush=True)


if __name__ == "__main__":
    main()
