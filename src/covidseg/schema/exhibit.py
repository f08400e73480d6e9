"""Base classes of tables and figures, through which the plan knows them. Each kind is one module with a subclass.

A kind is a file ``tables/kinds/KIND.py`` or ``figures/kinds/KIND.py`` with one class. Its fields are the keys of the
YAML file; its methods say which runs and data it shows, which files it reads, what its caption says and how it is made.
Planning imports these files, so at import they need nothing but the schema; libraries are imported inside methods.
"""

from __future__ import annotations

import importlib
import pkgutil
from abc import abstractmethod
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Union, get_args

from pydantic import Tag

from covidseg.schema.base import Strict, discriminated_by

if TYPE_CHECKING:
    from covidseg.base.paths import Paths
    from covidseg.plan import Plan
    from covidseg.plan.needs import Needs
    from covidseg.plan.targets import Targets
    from covidseg.tables.cell import Cell

Job = tuple[str, int, int]  # run, fold, seed


@dataclass(frozen=True)
class Reads:
    """The results and data that a table or figure reads; Snakemake makes them first.

    predictions, histories, models, records: files of trainings (a record is ``run.json``, which names everything that a
    training made); scores: runs whose ``cases.csv`` is read; masks: runs whose masks of whole scans are read; images,
    lungs: data sets; leaks: (data set, split).
    """

    predictions: tuple[Job, ...] = ()
    histories: tuple[Job, ...] = ()
    models: tuple[Job, ...] = ()
    records: tuple[Job, ...] = ()
    scores: tuple[str, ...] = ()
    masks: tuple[str, ...] = ()
    images: tuple[str, ...] = ()
    lungs: tuple[str, ...] = ()
    leaks: tuple[tuple[str, str], ...] = ()

    def __add__(self, other: Reads) -> Reads:
        return Reads(**{f.name: getattr(self, f.name) + getattr(other, f.name) for f in fields(self)})

    def files(self, paths: Paths) -> list[Path]:
        """Return the files, each once."""
        found = [
            *(paths.job(*job) / "predictions.h5" for job in self.predictions),
            *(paths.job(*job) / "history.csv" for job in self.histories),
            *(paths.job(*job) / "model.safetensors" for job in self.models),
            *(paths.job(*job) / "run.json" for job in (*self.models, *self.records)),
            *(paths.run(run) / "cases.csv" for run in self.scores),
            *(paths.masks(run) / name for run in self.masks for name in ("masks.json", "volumes.csv")),
            *(paths.canonical(dataset) / "import.json" for dataset in (*self.images, *self.lungs)),
            *(paths.canonical(dataset) / "lungs.json" for dataset in self.lungs),
            *(paths.leaks(*checked, "json") for checked in self.leaks),
        ]
        return list(dict.fromkeys(found))


class Exhibit(Strict):
    """A table or figure of a paper: its settings and what follows from them. Kinds override the methods that differ."""

    kind: str
    caption: str

    @property
    def runs(self) -> list[str]:
        """Return the runs that it shows, as the file names them."""
        return []

    @property
    def datasets(self) -> list[str]:
        """Return the data sets that it shows without a run, as the file names them."""
        return []

    @property
    def protocols(self) -> dict[str, list[str]]:
        """Return run, as the file names it -> the protocols under which it has to be scored."""
        return {}

    def run_ids(self, paper: str) -> list[str]:
        """Return the ids of the runs that it shows, each once."""
        from covidseg.plan.names import qualified

        return list(dict.fromkeys(qualified(paper, run) for run in self.runs))

    def wanted_runs(self, targets: Targets, paper: str) -> list[str]:
        """Return the ids of the runs that it shows and that the configuration asks for, each once."""
        return [run for run in self.run_ids(paper) if targets.resolver.wanted(run)]

    def wanted_datasets(self, targets: Targets) -> list[str]:
        """Return the data sets that it shows, or their stand-ins, as far as the configuration asks for them."""
        return targets.used_datasets(self.datasets)

    def check(self, targets: Targets, paper: str, where: str) -> None:
        """Check every name that it uses, so that a typo stops before anything runs. Raises UserError."""
        from covidseg.plan.names import check_known

        check_known([run for run in self.runs if "/" not in run], targets.catalogue.papers[paper].runs, where)

    def ready(self, targets: Targets, paper: str) -> bool:
        """Return whether all runs are asked for, and all data sets, stand-ins too, are used."""
        used = self.wanted_datasets(targets)
        shown = all(targets.catalogue.stands_for(name) in used for name in self.datasets)
        return shown and all(map(targets.resolver.wanted, self.run_ids(paper)))

    def reads(self, targets: Targets, paper: str) -> Reads:
        """Return the results and data that it reads."""
        return Reads()

    def decides(self, targets: Targets, paper: str) -> list[Any]:
        """Return, as JSON values, what determines it besides settings, mode, code and the files that it reads."""
        return []

    def modules(self, plan: Plan, paper: str) -> list[str]:
        """Return the modules whose code determines it, relative to covidseg; their imports are included."""
        return [type(self).__module__.removeprefix("covidseg.")]

    def needs(self, plan: Plan, paper: str) -> Needs:
        """Return the resources of the job that makes it: memory in MiB, minutes, GPUs, threads."""
        from covidseg.plan.needs import Needs

        return Needs(memory_mb=1000, minutes=20, gpus=0, threads=1)

    def words(self, plan: Plan, paper: str, name: str) -> list[str]:
        """Return the sentences of its caption after the paper's own."""
        return []


class Figure(Exhibit):
    """A figure. It is made when all of its runs are asked for and all of its data are used."""

    @abstractmethod
    def draw(self, plan: Plan, paper: str) -> Any:
        """Return the matplotlib figure; ``figures.page`` has the sheet and the look that all share."""


class Table(Exhibit):
    """A table. It is made when at least one of its rows can be: runs that are not asked for are "not run"."""

    @property
    def headings(self) -> list[str]:
        """Return the columns that may have printed numbers."""
        return []

    @property
    def printed(self) -> list[tuple[str, list[str]]]:
        """Return (row's label, columns with a printed number), for checking."""
        return []

    @property
    def scored_by(self) -> str | None:
        """Return the protocol whose scores are its columns; None for a table of other numbers."""
        return None

    def ready(self, targets: Targets, paper: str) -> bool:
        """Return whether there is a row to make."""
        return bool(self.wanted_runs(targets, paper) or (self.datasets and self.wanted_datasets(targets)))

    def check(self, targets: Targets, paper: str, where: str) -> None:
        """Check runs, and that printed numbers stand in columns of the table. Raises UserError."""
        from covidseg.plan.names import check_known

        super().check(targets, paper, f"{where}.rows")
        for label, columns in self.printed:
            check_known(columns, self.headings, f"{where}: printed of {label!r}")

    def doubts(self, plan: Plan) -> list[str]:
        """Return a sentence for each printed number that is arithmetically impossible."""
        return []

    @abstractmethod
    def cells(self, plan: Plan, paper: str) -> list[Cell]:
        """Return the table's numbers, row by row."""

    def origin(self, plan: Plan, cell: Any) -> list[str]:
        """Return lines that say where a number of the finished table (a line of its CSV) comes from."""
        return []


def kinds(package: str, base: type[Exhibit]) -> dict[str, type[Any]]:
    """Return kind -> class: every module of a package defines one class for the kind of its own name.

    Raises ValueError for a module that does not: a mistake in the program.
    """
    found: dict[str, type[Any]] = {}
    for info in pkgutil.iter_modules(importlib.import_module(package).__path__):
        module = importlib.import_module(f"{package}.{info.name}")
        own = [
            value
            for value in vars(module).values()
            if isinstance(value, type) and issubclass(value, base) and value.__module__ == module.__name__
        ]
        of_kind = [value for value in own if get_args(value.model_fields["kind"].annotation) == (info.name,)]
        if len(of_kind) != 1:
            raise ValueError(f"{module.__file__}: needs one {base.__name__} with kind: Literal[{info.name!r}]")
        found[info.name] = of_kind[0]
    return found


def union(package: str, base: type[Exhibit], default: str) -> Any:
    """Return the type of a value that is of one of a package's kinds, ``default`` where it names none."""
    members = tuple(Annotated[model, Tag(name)] for name, model in kinds(package, base).items())
    return Annotated[Union[members], discriminated_by("kind", default)]  # noqa: UP007 (made of a tuple)
