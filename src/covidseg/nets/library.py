"""Networks taken from MONAI, which loads all of itself and every optional package it finds when it is imported."""

from __future__ import annotations

import importlib
import sys
from typing import Any

# What MONAI can do without, and no network needs: hidden while it loads, which then takes a quarter of the time.
OPTIONAL = (
    "h5py",
    "jsonschema",
    "matplotlib",
    "nibabel",
    "pandas",
    "PIL",
    "psutil",
    "pydicom",
    "requests",
    "scipy",
    "skimage",
    "tifffile",
)


def from_monai(module: str, name: str) -> Any:
    """Return what is called ``name`` in ``module``, as ``monai.networks.nets.dynunet``; call it to build, not before.

    In this process MONAI's own readers and transforms will lack the packages in OPTIONAL; nobody else will.
    """
    before = {package: sys.modules.get(package) for package in OPTIONAL}
    sys.modules.update(dict.fromkeys(OPTIONAL))  # type: ignore[arg-type]  # None: an import fails
    try:
        return getattr(importlib.import_module(module), name)
    finally:
        for package, loaded in before.items():
            if loaded is None:
                del sys.modules[package]
            else:
                sys.modules[package] = loaded
