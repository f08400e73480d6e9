"""The HTML pages, and how to fill them."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import jinja2


def render(name: str, **values: Any) -> str:
    """Fill a template of this folder; values are escaped."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    return environment.get_template(name).render(**values)


def copy(names: Iterable[str], out: Path) -> None:
    """Copy files of this folder, such as scripts, into another."""
    for name in names:
        shutil.copyfile(Path(__file__).parent / name, out / name)
