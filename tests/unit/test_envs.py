"""The conda environments hold the lock's pins."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]


def locked() -> dict[str, str]:
    lock = tomllib.loads((ROOT / "uv.lock").read_text())
    return {package["name"]: package.get("version", "") for package in lock["package"]}


def pins(name: str) -> dict[str, str]:
    env = yaml.safe_load((ROOT / "envs" / f"{name}.yaml").read_text())
    pip = next(part["pip"] for part in env["dependencies"] if isinstance(part, dict))
    return dict(pin.split("==") for pin in pip)


@pytest.mark.parametrize("name", ["cpu", "cuda"])
def test_pins_are_the_locks(name: str) -> None:
    versions = locked()
    assert {package: versions.get(package) for package in pins(name)} == pins(name)


@pytest.mark.parametrize("name", ["cpu", "cuda"])
def test_every_direct_dependency_is_pinned(name: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    asked = [*project["dependencies"], *project["optional-dependencies"]["pipeline"]]
    direct = {re.split(r"[=<>]", d)[0] for d in asked} - ({"torch"} if name == "cpu" else set())
    assert direct - set(pins(name)) == set()


def test_cpu_has_the_same_torch_and_nothing_for_a_gpu() -> None:
    assert f"pytorch-cpu={locked()['torch']}" in (ROOT / "envs" / "cpu.yaml").read_text()
    assert [name for name in pins("cpu") if name.startswith("nvidia")] == []


def test_make_installs_the_locks_torch_and_numpy() -> None:
    """They come before uv and its lock: pip takes torch from where it is configured to."""
    text = (ROOT / "Makefile").read_text()
    versions = locked()
    assert dict(re.findall(r"\b(torch|numpy)==([\d.]+)", text)) == {name: versions[name] for name in ("torch", "numpy")}
