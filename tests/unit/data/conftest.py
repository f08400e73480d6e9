"""The phantom twins, written and imported once for all tests of data."""

from __future__ import annotations

from pathlib import Path

import pytest

from covidseg.data import canonical, importers, phantom
from tests.unit.data.small import twin

TWINS = ("covid-ct-seg", "medseg-1", "medseg-2", "covid-semiseg")


@pytest.fixture(scope="session")
def twins(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a canonical store per twin, and their files below ``raw``."""
    root = tmp_path_factory.mktemp("twins")
    for name in TWINS:
        data = twin(name)
        phantom.write(name, data, root / "raw" / name)
        canonical.write(importers.cases(root / "raw" / name, data), data, root / name)
    return root
