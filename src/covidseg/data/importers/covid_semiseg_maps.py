"""Others' maps of COVID-SemiSeg's test slices, a folder of PNG files per method and class."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from covidseg.base.images import list_maps, probability, read_map, scale_of
from covidseg.data.canonical import Case
from covidseg.data.importers.covid_semiseg import upright
from covidseg.data.maps import case_of
from covidseg.data.raw import left_out
from covidseg.schema import Dataset


def cases(raw: Path, dataset: Dataset) -> Iterator[Case]:
    """Yield a case per map of every folder that is there, as ``maps.case_of`` names it; its image is the 8-bit map."""
    absent = left_out(raw)
    for source in dataset.sources:
        if source.name in absent or not (raw / source.name).is_dir():
            continue
        files = list_maps(raw / source.name)
        scale = scale_of(files)
        for name, path in files.items():
            values = probability(path, read_map(path).values[0], scale)
            yield Case(case_of(source.name, name), name, "map", upright(values, name), hu=False)
