"""The phantoms, written and imported once for all tests of data."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from covidseg.data import canonical, importers, phantom
from covidseg.data.phantom import layouts
from covidseg.data.phantom.scans import Scan
from tests.unit.data.small import twin

TWINS = ("covid-ct-seg", "medseg-1", "medseg-2", "covid-semiseg")


@pytest.fixture(scope="session")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, list[float]]]:
    """Return a folder with a canonical store per twin, and their files below ``raw``; and of each twin the share of
    lung in its slices with lesion, as they were drawn: not all have lung labels.
    """
    root = tmp_path_factory.mktemp("twins")
    shares: dict[str, list[float]] = {}
    scans = layouts.Maker.__iter__

    def watched(maker: layouts.Maker) -> Iterator[Scan]:
        for scan in scans(maker):
            inner = round((len(scan.hu) - maker.size) / 2)
            inside = slice(inner, inner + maker.size)
            if ((scan.label == 1) | (scan.label == 2)).any():
                shares[name].append(float((scan.left | scan.right)[inside, inside].mean()))
            yield scan

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(layouts.Maker, "__iter__", watched)
        for name in TWINS:
            shares[name], data = [], twin(name)
            phantom.write(name, data, root / "raw" / name)
            canonical.write(importers.cases(root / "raw" / name, data), data, root / name)
    return root, shares


@pytest.fixture(scope="session")
def twins(drawn: tuple[Path, dict[str, list[float]]]) -> Path:
    """Return the folder of the twins."""
    return drawn[0]
