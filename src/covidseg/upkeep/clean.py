"""``covidseg clean``: remove results whose source is gone, and nothing that our own records do not list.

Gone is a run, table or figure that no paper file names, a fold that its split no longer has, a data set that nothing
describes, and the mask of a scan that is no longer in the user's folder. Tables, figures and claims that were made with
another preset than the one in force are old, too: a result of one preset beside those of another misleads. Downloaded
files stay. So does every file that was changed since it was written, as a mask that was corrected by hand.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from covidseg.base import csvfile, records
from covidseg.base.errors import UserError
from covidseg.base.own import JOURNAL, OwnFiles
from covidseg.data.importers import folder as own_folder
from covidseg.data.splits import rule_of
from covidseg.evaluate import volumes
from covidseg.inference.outputs import picture_names
from covidseg.jobs import record
from covidseg.plan import WORKFLOW, Plan
from covidseg.plan.names import stems

REMEDY = "covidseg clean removes it"
VOLUMES = "volumes.csv"


@dataclass(frozen=True)
class Stale:
    """What may go: a place to name, why, and its records with all that they list. ``scan``: only its mask and row."""

    place: Path
    why: str
    records: tuple[Path, ...]
    scan: str = ""

    def __str__(self) -> str:
        return f"{self.place}: {self.why}"


def stale(plan: Plan) -> list[Stale]:
    """Return what has no source any more. Raises UserError for a paper file that cannot be read."""
    found = [*_runs(plan), *_exhibits(plan), *_masks(plan), *_data(plan)]
    return [one for one in found if one.records]


def clean(plan: Plan, places: Sequence[Path], dry_run: bool, say: Callable[[str], None]) -> int:
    """Remove what has no source any more, and say it; return how much there was. ``dry_run``: only say it.

    ``places``: where, if not everywhere.
    """
    within = [place.resolve() for place in places]
    found = [one for one in stale(plan) if not within or any(map(one.place.resolve().is_relative_to, within))]
    freed = 0
    for one in found:
        say(f"{'would remove' if dry_run else 'removing'}: {one}")
        if not dry_run:
            freed += _take_scan(one, say) if one.scan else sum(_take(path, say) for path in one.records)
    if not found:
        say("nothing to remove: every result has its source")
    elif not dry_run:
        say(f"removed: {len(found)}, {freed / 1e6:.1f} MB; run snakemake, which brings the report up to date")
    return len(found)


# ---- what has no source


def _runs(plan: Plan) -> Iterator[Stale]:
    known = {f"{paper}/{run}" for paper in stems(WORKFLOW / "papers") for run in _paper(plan, paper).runs}
    planned = set(plan.graph.all_runs())
    for folder in sorted((plan.paths.results / "runs").glob("*/*/")):
        name = f"{folder.parent.name}/{folder.name}"
        if name not in known:
            yield Stale(folder, "no paper file names this run", _of_run(folder))
        elif name in planned:
            folds = plan.run(name).all_folds
            for job in sorted(folder.glob("fold*-seed*/")):
                fold = job.name.removeprefix("fold").partition("-")[0]
                if fold.isdecimal() and int(fold) not in folds:
                    yield Stale(job, f"split {plan.run(name).spec.split} has no fold {fold}", _of_run(job))


def _of_run(folder: Path) -> tuple[Path, ...]:
    names = (record.STAGE, record.RUN, "summary.json")
    return tuple(path for name in names for path in sorted(folder.rglob(name)))


def _exhibits(plan: Plan) -> Iterator[Stale]:
    results, papers = plan.paths.results, set(stems(WORKFLOW / "papers"))
    for what in ("tables", "figures"):
        for path in sorted((results / what).glob("*/*.json")):
            there = getattr(_paper(plan, path.parent.name), what) if path.parent.name in papers else {}
            missing = "" if path.stem in there else f"no paper file names this {what.removesuffix('s')}"
            if why := missing or _of_old_preset(plan, path):
                yield Stale(path.with_suffix(""), why, (path,))
    for path in sorted((results / "claims").glob("*.json")):
        missing = "" if path.stem in papers and _paper(plan, path.stem).claims else "no paper file has these claims"
        if why := missing or _of_old_preset(plan, path):
            yield Stale(path.with_suffix(""), why, (path,))


def _of_old_preset(plan: Plan, path: Path) -> str:
    """Return why a table is old by its record; of one that does not name its preset nothing is said."""
    with contextlib.suppress(UserError):
        made = records.read(path).get("preset", plan.preset_name)
        return f"made with preset {made}, now it is {plan.preset_name}" if made != plan.preset_name else ""
    return ""


def _masks(plan: Plan) -> Iterator[Stale]:
    known = {f"{paper}/{run}" for paper in stems(WORKFLOW / "papers") for run in _paper(plan, paper).runs}
    datasets, planned = _datasets(plan), set(plan.targets.masks())
    for path in sorted((plan.paths.results / "masks").glob("*/*/masks.json")):
        name = f"{path.parents[1].name}/{path.parent.name}"
        run, _, dataset = name.partition("@")
        if run not in known or (dataset and dataset not in datasets):
            yield Stale(path.parent, "no paper file names this run, or nothing describes its data", (path,))
        elif name in planned:
            yield from _gone_scans(plan, name, path)


def _gone_scans(plan: Plan, name: str, path: Path) -> Iterator[Stale]:
    """Yield the masks of scans that are no longer in a user's folder."""
    dataset = plan.dataset(plan.targets.masks_of(name)[1])
    if dataset.folder is None or dataset.importer != "folder":
        return
    with contextlib.suppress(UserError):
        there = own_folder.names_of_cases(dataset.folder)
        for row in volumes.read(path.parent):
            if row["case"] not in there:
                why = f"its scan is no longer in {dataset.folder}"
                yield Stale(path.parent / row["case"], why, (path,), scan=row["case"])


def _data(plan: Plan) -> Iterator[Stale]:
    known, data, why = _datasets(plan), plan.paths.data, "nothing describes this data set"
    for kind in ("canonical", "tensors"):
        for folder in sorted((data / kind).glob("*/")):
            if folder.name not in known:
                names = ("tensors.json", "lungs.json", "import.json")
                yield Stale(folder, why, tuple(p for name in names for p in sorted(folder.rglob(name))))
    for path in sorted((data / "splits").glob("*.json")):
        if (made := rule_of(path.stem)) and made[0] not in known:
            yield Stale(path.with_suffix(".csv"), why, (path,))
    for path in sorted((plan.paths.results / "leaks").glob("*.json")):
        with contextlib.suppress(UserError):
            if str(records.read(path).get("dataset")) not in known:
                yield Stale(path.with_suffix(""), why, (path,))


def _paper(plan: Plan, name: str) -> Any:
    return plan.papers.get(name) or plan.catalogue.paper(name)


def _datasets(plan: Plan) -> set[str]:
    """Return the data sets that a file describes, or a paper brings along."""
    own = (paper for paper in stems(WORKFLOW / "papers") if _paper(plan, paper).dataset)
    return {*stems(WORKFLOW / "datasets"), *own}


# ---- taking it away


def _take(path: Path, say: Callable[[str], None]) -> int:
    """Remove what a record lists, then the record, then folders that are empty; return the bytes that were freed.

    Raises UserError for a damaged record: nothing says what is ours.
    """
    listed = records.read(path)["sha256"]
    freed = 0
    if (path.parent / JOURNAL).is_file():  # of masks, which people may correct: it knows what is as we wrote it
        freed += _take_own(path.parent, set(OwnFiles(path.parent).hashes), say)
        listed = {VOLUMES: listed[VOLUMES]}
        (path.parent / JOURNAL).unlink()
    freed += sum(_remove(path.parent / name, expected, say) for name, expected in listed.items())
    path.unlink()
    folder = path.parent
    while not any(folder.iterdir()):
        folder.rmdir()
        folder = folder.parent
    return freed


def _remove(file: Path, expected: str, say: Callable[[str], None]) -> int:
    """Remove a file that is as its record says; return its size."""
    problem = records.difference(file, expected)
    if problem == "missing":
        return 0
    if problem or file.is_symlink():
        say(f"{file}: changed since we wrote it, left as it is")
        return 0
    size = file.stat().st_size
    file.unlink()
    return size


def _take_own(folder: Path, names: set[str], say: Callable[[str], None]) -> int:
    """Remove masks that are as we wrote them; return their bytes."""
    own = OwnFiles(folder)
    freed = sum((folder / name).stat().st_size for name in names if own.ours(name))
    own.keep([name for name in own.hashes if name not in names], say)
    return freed


def _take_scan(one: Stale, say: Callable[[str], None]) -> int:
    """Remove the mask of one scan and its row in the table of volumes, and enter that into the record."""
    (path,) = one.records
    made, rows = records.read(path), volumes.read(path.parent)
    files = {row["case"]: _files_of(row) for row in rows}
    others = {name for case, names in files.items() if case != one.scan for name in names}
    gone = (files[one.scan] & set(made["sha256"])) - others
    freed = _take_own(path.parent, gone, say)
    csvfile.write(path.parent / VOLUMES, list(rows[0]), [row for row in rows if row["case"] != one.scan])
    left = {name: value for name, value in made["sha256"].items() if name not in gone and name != VOLUMES}
    facts = {key: value for key, value in made.items() if key != records.OWN} | {records.LIST: left}
    records.write(path, [path.parent / VOLUMES], **facts)
    return freed


def _files_of(row: dict[str, Any]) -> set[str]:
    """Return the names that the files of a scan's mask can have, a volume or pictures."""
    return {f"{row['case']}.nii.gz", *picture_names(row["case"], row["slices"])}
