"""Asked beside used: a training in stages counts job by job, and the remarks say what to tune."""

from __future__ import annotations

import shutil
from pathlib import Path

from covidseg.plan import Plan
from covidseg.plan.needs import Needs
from covidseg.report.used import Job, jobs, line
from tests.records import write_record

ASKED = Needs(memory_mb=4000, minutes=120, gpus=1, threads=8)


def test_the_worst_job_counts_and_not_their_sum(tmp_path: Path) -> None:
    plan = Plan.load({"mode": "demo", "results": str(tmp_path)})
    run = plan.run("ssanet/s1")
    assert run.spec.stages == ["round0", "labels1", "round1", "labels2", "round2"]
    common = {"spec_hash": run.hash, "gpus": ["0"]}
    for name, seconds, memory in zip(run.spec.stages, (1, 60, 600, 60, 1), (51, 300, 900, 300, 51), strict=True):
        facts = {"stage": name, "wall_seconds": seconds, "peak_memory_mb": memory, "peak_gpu_memory_mb": memory + 7}
        write_record(plan.paths.stage(run.id, 0, 0, name) / "stage.json", common | facts)
    made = {"wall_seconds": 730, "peak_memory_mb": 900, "peak_gpu_memory_mb": 5}  # 722 of the stages, and 8
    write_record(plan.paths.job(run.id, 0, 0) / "run.json", common | made)
    found = jobs(plan, run, 0, 0)
    assert [job.seconds for job in found] == [1, 60, 600, 60, 1, 8]
    told = line(ASKED, found)
    assert (told["jobs"], told["memory"], told["minutes"], told["gpu_memory"]) == (6, 900, 10, 907)
    assert told["which"] == "round1"
    assert told["remarks"] == ["time: 8 % of asked, ask for less"]

    shutil.rmtree(plan.paths.stage(run.id, 0, 0, "labels1"))  # a user's disk was full
    assert jobs(plan, run, 0, 0)[-1].seconds is None


def test_remarks_say_what_to_tune() -> None:
    def remarks(seconds: float | None, memory: int, gpus: int = 1, asked: Needs = ASKED) -> list[str]:
        return line(asked, [Job("", seconds, memory, gpus, 0)])["remarks"]

    assert remarks(3600, 2000) == []
    assert remarks(3600, 3201) == ["memory: 80 % of asked, ask for more"]
    assert remarks(7000, 399, gpus=0) == [
        "memory: 10 % of asked, ask for less",
        "time: 97 % of asked, ask for more",
        "GPU: asked for, none held",
    ]
    assert remarks(None, 2000) == []
    assert remarks(1, 20, asked=Needs(1000, 30, 1, 1)) == []  # so little is asked that less gains nothing
