"""A data set that joins others: the cases of their canonical stores, with their lung masks as lung labels."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from covidseg.base.errors import UserError
from covidseg.data.canonical import Case, Store, read_table
from covidseg.schema import Dataset


def cases(raw: Path, dataset: Dataset) -> Iterator[Case]:
    """Yield the cases of ``dataset.joins``, in the order of their tables; ``raw`` holds a folder per part.

    Images are 8-bit already, through each part's own window. Raises UserError when two parts have a case of one name.
    """
    home: dict[str, str] = {}
    for part in dataset.joins:
        folder = raw / part
        with Store(folder) as store, Store(folder / "lungs.h5") as masks:
            masked = masks.file_attrs().get("source") != "none"
            for name in dict.fromkeys(row["case"] for row in read_table(folder / "slices.csv")):
                if name in home:
                    raise UserError(
                        f"{dataset.title}: case {name!r} stands in {home[name]} and in {part}; rename it in one of them"
                    )
                home[name] = part
                known = store.attrs(name)
                dz, dy, dx = (float(mm) for mm in known["spacing"])
                yield Case(
                    name=name,
                    patient=known["patient"],
                    role=known["role"],
                    image=store.image(name),
                    label=store.label(name),
                    lung=masks.lung(name) if masked else None,
                    spacing=(dz, dy, dx),
                    affine=known.get("affine"),
                    axcodes=known.get("axcodes"),
                    hu=bool(known["hu"]) if "hu" in known else None,  # as it came: what is stored has 8 bits
                )
