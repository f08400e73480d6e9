"""The small demo through the profile, with everything that goes wrong on a cluster, ends in a local run's bytes."""

import json
import shutil
import subprocess
import time

from tests.cluster.slurm import ON_A_NODE, Slurm
from tests.conftest import Project

BOUND = 1500  # seconds; two to three minutes on a machine of its own
PROFILE = (
    "snakemake", "--workflow-profile", "workflow/profiles/slurm", "--jobs", "6", "--slurm-no-account",
    "--slurm-init-seconds-before-status-checks", "1", "--latency-wait", "10",
)  # fmt: skip
# The first attempt of this training gets less memory than Python with torch takes.
TOO_LITTLE = "train:mem_mb=330 if (wildcards.run, wildcards.fold, attempt) == ('m1', '0', 1) else 1200"
OUT_OF_MEMORY, CANCELLED, TIMED_OUT, ON_A_DEAD_NODE = (
    f"rule_train_wildcards_ssanet_{run}_0" for run in ("m1_0", "m1_1", "m3_0", "m3_1")
)


class Trouble:
    """Watches the queue, does harm once to each of three trainings, and notes which job held which GPU."""

    def __init__(self, slurm: Slurm) -> None:
        self.slurm = slurm
        self.gpus: dict[str, list[str]] = {}  # of each GPU job seen running
        self.at_once: list[list[str]] = []  # GPUs in use, at each look
        self.done: set[str] = set()
        self.before = {job["id"] for job in slurm.jobs()}  # of other tests

    def jobs(self) -> list[dict[str, str]]:
        """Return this test's jobs in the order of their submission."""
        return sorted((j for j in self.slurm.jobs() if j["id"] not in self.before), key=lambda job: int(job["id"]))

    def look(self) -> None:
        jobs = self.jobs()
        running = [job for job in jobs if job["state"] in ON_A_NODE and "rule_train" in job["comment"]]
        for job in running:
            if not self.gpus.get(job["id"]):
                self.gpus[job["id"]] = self.slurm.gpus_of(job["id"])
            self._harm(job)
        self.at_once.append(sorted(gpu for job in running for gpu in self.gpus[job["id"]]))
        seen = {(job["comment"], job["state"]) for job in jobs}
        other_harm_is_done = (TIMED_OUT, "TIMEOUT") in seen and not seen.isdisjoint(
            (OUT_OF_MEMORY, state) for state in ("FAILED", "OUT_OF_MEMORY")
        )
        if other_harm_is_done and "stopped" in self.done and "node" not in self.done:
            self.done.add("node")
            self.slurm.kill_node("n1")
        if (ON_A_DEAD_NODE, "NODE_FAIL") in seen and "again" not in self.done:
            self.done.add("again")
            self.slurm.return_node("n1")

    def _harm(self, job: dict[str, str]) -> None:
        if job["comment"] in self.done or job["state"] != "RUNNING":
            return
        if not self.slurm.process_states(job["id"]):  # a signal would reach nothing
            return
        if job["comment"] == CANCELLED:
            self.slurm.do("scancel", job["id"])
        elif job["comment"] == TIMED_OUT:  # it hangs, and its time is over
            self.slurm.do("scancel", "--full", "-s", "STOP", job["id"])
            self.slurm.do("scontrol", "update", f"JobId={job['id']}", "EndTime=now")
        elif job["comment"] == ON_A_DEAD_NODE:  # it is held until the node dies
            self.slurm.do("scancel", "--full", "-s", "STOP", job["id"])
            self.done.add("stopped")
        self.done.add(job["comment"])


def test_the_demo_on_a_cluster_in_trouble_equals_the_local_run(
    slurm: Slurm, project: Project, finished: Project
) -> None:
    for made in ("data", "results", ".snakemake"):
        shutil.rmtree(project.folder / made)
    log = project.folder.parent / "log"
    trouble, deadline = Trouble(slurm), time.monotonic() + BOUND
    with open(log, "w") as file:
        running = subprocess.Popen(
            [*PROFILE, "--set-resources", TOO_LITTLE], cwd=project.folder, env=project.environment,
            stdout=file, stderr=subprocess.STDOUT,
        )  # fmt: skip
        try:
            while running.poll() is None:
                assert time.monotonic() < deadline, f"not done in {BOUND} s:\n{log.read_text()}"
                trouble.look()
                time.sleep(0.3)
        finally:
            if running.poll() is None:
                running.kill()
                running.wait()
    assert running.returncode == 0, log.read_text()

    # every harm was done and noticed, and no training ran again but for it
    states: dict[str, list[str]] = {}
    for job in trouble.jobs():
        if "rule_train" in job["comment"]:
            states.setdefault(job["comment"], []).append(job["state"])
    assert states[OUT_OF_MEMORY][0] in ("FAILED", "OUT_OF_MEMORY")
    assert states[CANCELLED][0] == "CANCELLED"
    assert states[TIMED_OUT][0] == "TIMEOUT"
    assert states[ON_A_DEAD_NODE][0] == "NODE_FAIL"
    for attempts in states.values():
        assert attempts[-1] == "COMPLETED"
        assert attempts.count("COMPLETED") == 1
        assert len(attempts) <= 3

    # two GPUs: never three jobs, never two jobs on one
    assert max(map(len, trouble.at_once)) == 2
    for used in trouble.at_once:
        assert len(set(used)) == len(used)
    held = {job["comment"]: trouble.gpus.get(job["id"]) for job in trouble.jobs() if job["state"] == "COMPLETED"}
    for run in ("m1", "m3"):
        for fold in "01":
            record = project.folder / f"results/demo/runs/ssanet/{run}/fold{fold}-seed0/run.json"
            assert json.loads(record.read_text())["gpus"] == held[f"rule_train_wildcards_ssanet_{run}_{fold}_0"]

    assert same(project, finished) > 20


def same(one: Project, other: Project) -> int:
    """Check that two projects' finished tables, scores and models are the same bytes; return how many files."""
    patterns = ("tables/**/*.*", "claims/*", "leaks/*", "report/metrics/**/*.json", "tables.md", "runs/**/cases.csv",
                "runs/**/model.safetensors", "runs/**/predictions.h5")  # fmt: skip
    count = 0
    for pattern in patterns:
        for file in (other.folder / "results/demo").glob(pattern):
            if file.is_file():
                twin = one.folder / file.relative_to(other.folder)
                assert twin.read_bytes() == file.read_bytes(), f"{twin} differs"
                count += 1
    return count
