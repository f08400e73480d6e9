"""The profiles: what they must hold for restarts to be safe, and the plugin that the lock holds for them."""

import tomllib
from typing import Any

import yaml

from covidseg.upkeep import orphans
from tests.conftest import ROOT


def profile(name: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROOT / "workflow" / "profiles" / name / "config.yaml").read_text())
    return found


def test_a_killed_job_is_made_again_and_never_by_slurm_itself() -> None:
    assert profile("default")["rerun-incomplete"]
    slurm = profile("slurm")
    assert slurm["slurm-jobname-prefix"] == orphans.PREFIX
    assert (slurm["rerun-incomplete"], slurm["retries"], slurm["slurm-no-requeue"]) == (True, 2, True)


def test_every_value_to_fill_in_is_explained() -> None:
    text = (ROOT / "workflow/profiles/slurm/README.md").read_text()
    for key in profile("slurm"):
        if key.startswith("slurm-") and key != "slurm-jobname-prefix":
            assert key in text
    for key in ("slurm_account", "slurm_partition", "gres", "gpu_model", "mem_mb", "runtime", "device: cuda"):
        assert key in text


def test_the_lock_holds_the_plugin_for_the_extra_only() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["optional-dependencies"]["slurm"] == ["snakemake-executor-plugin-slurm>=2.8,<3"]
    packages = {package["name"]: package for package in tomllib.loads((ROOT / "uv.lock").read_text())["package"]}
    assert packages["snakemake-executor-plugin-slurm"]["version"] == "2.8.0"
    needed = [dependency["name"] for dependency in packages["covidseg"]["dependencies"]]
    assert "snakemake-executor-plugin-slurm" not in needed


def test_every_rule_asks_for_more_memory_after_a_failure() -> None:
    for file in (ROOT / "workflow" / "rules").glob("*.smk"):
        for line in file.read_text().splitlines():
            if "mem_mb=" in line:
                assert "growing(" in line or "attempt *" in line
