"""Write cpu.yaml and cuda.yaml beside this file from uv.lock: ``make envs``. A test fails when they are out of step."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
GPU_ONLY = re.compile(r"^(nvidia|cuda|triton)\b")
HEAD = """\
# {about}
# Written by `make envs` from uv.lock; do not edit. Used by `snakemake --sdm conda`.
channels: [conda-forge]
dependencies:
  - python=3.11
"""


def main() -> None:
    """Export the lock's pins for this platform and lay them out as two conda environments."""
    uv = Path(sys.executable).parent / "uv"
    options = ["--frozen", "--no-hashes", "--no-dev", "--no-emit-project", "--no-annotate", "--no-header", "--quiet"]
    command = [str(uv), "export", "--extra", "pipeline", *options]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    pins = [line.strip() for line in text.splitlines() if line.strip()]
    pins = [pin for pin in pins if "sys_platform == 'win32'" not in pin and "sys_platform == 'darwin'" not in pin]
    cpu = [pin for pin in pins if not GPU_ONLY.match(pin) and not pin.startswith("torch==")]
    torch = next(pin for pin in pins if pin.startswith("torch==")).split(" ")[0].removeprefix("torch==")
    _write("cpu", "No GPU: PyTorch's CPU build, from conda-forge.", [f"pytorch-cpu={torch}"], cpu)
    _write("cuda", "One or more NVIDIA GPUs: PyTorch's CUDA build.", [], pins)


def _write(name: str, about: str, conda: list[str], pip: list[str]) -> None:
    lines = [f"  - {pin}" for pin in [*conda, "pip"]] + ["  - pip:"]
    lines += [f'      - "{pin.split(" ;")[0].split(";")[0].strip()}"' for pin in pip]
    (HERE / f"{name}.yaml").write_text(HEAD.format(about=about) + "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
