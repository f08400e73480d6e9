"""How long the demo takes on this machine, with what memory, and how much of it is work.

    python benchmarks/demo.py [RUNS]

Each run starts from a fresh clone in a temporary folder that borrows this checkout's .venv, so set-up is not counted.
Prints per run and as medians: wall and CPU seconds, the largest process's memory, the share of cores x wall in which
jobs ran, and the share in which they computed (training alone, from every run.json, without start-up).
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]


def jobs_seconds(clone: Path) -> float:
    """Return the summed duration of all jobs, from Snakemake's own records (one per output; jobs counted once)."""
    spans: dict[str, tuple[float, float]] = {}
    for path in (clone / ".snakemake" / "metadata").rglob("*"):
        if path.is_file():
            facts = json.loads(path.read_text())
            job = str(facts["log"])  # every job has its own
            start, end = spans.get(job, (facts["starttime"], facts["endtime"]))
            spans[job] = min(start, facts["starttime"]), max(end, facts["endtime"])
    return sum(end - start for start, end in spans.values())


def demo(cores: int) -> dict[str, float]:
    """Run the demo once; return its figures."""
    with tempfile.TemporaryDirectory() as folder:
        clone = Path(folder) / "covidseg"
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
        environment = os.environ | {
            "PATH": f"{ROOT / '.venv/bin'}:{os.environ['PATH']}",
            "PYTHONPATH": str(clone / "src"),
        }
        command = ["snakemake", "--cores", str(cores), "--resources", "gpu=2", "--logger", "covidseg", "--quiet", "all"]
        before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        subprocess.run(command, cwd=clone, env=environment, check=True, stdout=subprocess.DEVNULL)
        wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
        trained = [json.loads(p.read_text())["seconds"] for p in clone.glob("results/demo/runs/*/*/*/run.json")]
        return {
            "wall s": wall,
            "CPU s": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
            "peak MiB": after.ru_maxrss / 1024,
            "jobs / (cores x wall)": jobs_seconds(clone) / (cores * wall),
            "training / (cores x wall)": sum(trained) / (cores * wall),
        }


def main() -> None:
    """Run the demo some times and print the figures."""
    runs = [demo(os.cpu_count() or 1) for _ in range(int(sys.argv[1]) if len(sys.argv) > 1 else 1)]
    for key in runs[0]:
        values = [run[key] for run in runs]
        print(f"{key:28} median {statistics.median(values):8.2f}   " + "  ".join(f"{v:.2f}" for v in values))


if __name__ == "__main__":
    main()
