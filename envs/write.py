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


def files() -> dict[str, str]:
    """Return name -> text of both files: the lock's pins for this platform, laid out as conda environments."""
    uv = Path(sys.executable).parent / "uv"
    options = ["--frozen", "--no-hashes", "--no-dev", "--no-emit-project", "--no-annotate", "--no-header", "--quiet"]
    command = [str(uv), "export", "--extra", "pipeline", *options]
    text = subprocess.run(command, capture_output=True, text=True, check=True, cwd=HERE.parent).stdout
    pins = [line.strip() for line in text.splitlines() if line.strip()]
    pins = [pin for pin in pins if "sys_platform == 'win32'" not in pin and "sys_platform == 'darwin'" not in pin]
    cpu = [pin for pin in pins if not GPU_ONLY.match(pin) and not pin.startswith("torch==")]
    torch = next(pin for pin in pins if pin.startswith("torch==")).split(" ")[0].removeprefix("torch==")
    return {
        "cpu.yaml": _text("No GPU: PyTorch's CPU build, from conda-forge.", [f"pytorch-cpu={torch}"], cpu),
        "cuda.yaml": _text("One or more NVIDIA GPUs: PyTorch's CUDA build.", [], pins),
    }


def _text(about: str, conda: list[str], pip: list[str]) -> str:
    lines = [f"  - {pin}" for pin in [*conda, "pip"]] + ["  - pip:"]
    lines += [f'      - "{pin.split(" ;")[0].split(";")[0].strip()}"' for pin in pip]
    return HEAD.format(about=about) + "\n".join(lines) + "\n"


def main() -> None:
    """Write both files."""
    for name, text in files().items():
        (HERE / name).write_text(text)


if __name__ == "__main__":
    main()
