"""What the YAML files describe: data sets, protocols, splits, lung masks, classes."""

from __future__ import annotations

import functools
import os
from pathlib import Path

from covidseg import lungs as lung_masks
from covidseg.base.errors import UserError, nearest
from covidseg.base.files import need
from covidseg.data import importers, splits
from covidseg.evaluate.score import check_measures
from covidseg.plan.names import SUPPORT, WORKFLOW, check_known, file_of, stems
from covidseg.plan.settings import Settings
from covidseg.schema import Dataset, LungSource, Paper, Protocol, load

LUNG_MASK = "lung"  # a class whose truth is the lung mask, in data sets without a label of this name


class Catalogue:
    """Papers, data sets, protocols and splits by name, and the stand-ins that the configuration puts in their place."""

    def __init__(self, settings: Settings) -> None:
        """Read the papers that the configuration names. Raises UserError with one line."""
        self.config, self.source, self._paths = settings.config, settings.source, settings.paths
        self.papers = {name: self.paper(name) for name in [*self.config.papers, SUPPORT]}

    def paper(self, name: str) -> Paper:
        """Read a paper's file, whether or not the configuration asks for it. Raises UserError for an unknown paper."""
        return load(Paper, file_of("papers", name, "paper", self.source))

    @functools.cache  # noqa: B019 - a plan lives as long as the process
    def dataset(self, name: str) -> Dataset:
        """Return a data set's description in the mode in force; in demo mode, crops have the size of the phantoms."""
        path, dataset = self.described(name)
        if dataset.importer not in (legal := importers.names()):
            raise UserError(f"{path}: importer: unknown name {dataset.importer!r}; {nearest(dataset.importer, legal)}")
        if dataset.importer == "folder" and dataset.folder is None:
            raise UserError(f"{path}: folder: missing; name the folder with imagesTr, labelsTr and dataset.json")
        check_known([dataset.keep], ["all", "lesion", *dataset.classes, *dataset.unions], f"{path}: keep")
        parts = self._parts(dataset, path)
        if self.config.mode == "demo":
            sizes = {part.phantom.size for part in parts or [dataset] if part.phantom}
            if not sizes:
                raise UserError(f"{name}: has no phantom; set mode: paper, or name another data set")
            if dataset.crop:
                dataset = dataset.model_copy(update={"crop": dataset.crop.model_copy(update={"size": sizes.pop()})})
            if dataset.crop and sizes:
                raise UserError(
                    f"{path}: joins: the phantoms of {', '.join(dataset.joins)} differ in size; give them one"
                )
        return dataset

    def _parts(self, dataset: Dataset, path: Path) -> list[Dataset]:
        """Return the data sets that a joined one consists of. Raises UserError when they do not fit together."""
        if (dataset.importer == "joined") != (len(dataset.joins) > 1):
            raise UserError(
                f"{path}: joins: goes with importer: joined and needs two or more data sets; correct one of them"
            )
        check_known(dataset.joins, stems(WORKFLOW / "datasets"), f"{path}: joins")
        for name in dataset.joins:
            part = load(Dataset, file_of("datasets", name, "data set", self.source))
            if part.joins:
                raise UserError(f"{path}: joins: {name} is itself a joined data set; name its parts")
            if part.classes != dataset.classes:
                raise UserError(f"{path}: classes: differs from that of {name}; make both equal")
        return [self.dataset(name) for name in dataset.joins]

    def described(self, name: str, where: str | None = None) -> tuple[Path, Dataset]:
        """Return the file that describes a data set (its own, or a paper file with own scans) and the description."""
        paper = self.papers.get(name)
        path = WORKFLOW / "datasets" / f"{name}.yaml"
        if paper is None or paper.dataset is None:
            return path, load(Dataset, file_of("datasets", name, "data set", where or self.source))
        if path.is_file():
            raise UserError(f"{path}: {WORKFLOW}/papers/{name}.yaml describes a data set of this name too; rename one")
        path = WORKFLOW / "papers" / f"{name}.yaml"
        if not paper.dataset.folder.is_dir():
            raise UserError(
                f"{path}: dataset.folder: {paper.dataset.folder}: no such folder; name the one that holds "
                f"{paper.dataset.image_labels or 'dataset.json'}"
            )
        return path, importers.of_own(paper.dataset).described(paper.dataset, paper.paper.title)

    def files_of(self, name: str) -> str:
        """Return the data set whose downloaded files a data set reads: itself, or the one named by ``files_of``."""
        return (self.dataset(name).files_of if self.config.mode == "paper" else None) or name

    def files(self, name: str) -> set[str]:
        """Return the data sets whose downloaded files a data set reads; for a joined one, those of its parts."""
        return {self.files_of(part) for part in self.dataset(name).joins or [name]}

    def check_dataset(self, name: str, where: str) -> None:
        """Raise UserError for an unknown data set, naming ``where`` it was asked for."""
        if (paper := self.papers.get(name)) is None or paper.dataset is None:
            file_of("datasets", name, "data set", where)

    def check_protocol(self, name: str, where: str) -> None:
        """Raise UserError for an unknown protocol, naming ``where`` it was asked for."""
        file_of("protocols", name, "protocol", where)

    def check_classes(self, dataset: str, classes: list[str], where: str) -> None:
        """Raise UserError for a class that a data set does not have, naming ``where`` it was asked for."""
        known = self.described(dataset, where)[1]
        check_known(classes, [*known.classes, *known.unions], where)

    @functools.cache  # noqa: B019
    def protocol(self, name: str) -> Protocol:
        """Return a metric convention."""
        path = file_of("protocols", name, "protocol", self.source)
        protocol = load(Protocol, path)
        check_measures(protocol, str(path))
        return protocol

    @functools.cache  # noqa: B019
    def split(self, name: str) -> splits.Split:
        """Return a split. Raises UserError when it has yet to be made."""
        path = self.split_path(name)
        return splits.read(need(path, f"split {name}") if self.made_split(name) else path)

    def split_path(self, name: str, where: str | None = None) -> Path:
        """Return the CSV of a split: a committed one, or the place of one that is made.

        Raises UserError when there is none, naming ``where`` it was asked for.
        """
        path = WORKFLOW / "splits" / f"{name}.csv"
        if path.is_file():
            return path
        if self.made_split(name):
            return self._paths.split(name)
        legal = stems(WORKFLOW / "splits", "csv")
        remedy = f"{nearest(name, legal)}; or a rule: {splits.RULES_IN_WORDS}"
        raise UserError(f"{where or self.source}: unknown split {name!r}; {remedy}")

    def made_split(self, name: str) -> tuple[str, str] | None:
        """Return (data set, rule) of a split that is made by a rule, as mine-folds-5; None for a written one.

        A generated CSV that was copied to workflow/splits counts as written: adding scans does not change it.
        """
        written = (WORKFLOW / "splits" / f"{name}.csv").is_file()
        return None if written else splits.rule_of(name)

    def split_folds(self, name: str) -> list[int]:
        """Return the folds of a split, whether its CSV exists yet or not."""
        made = self.made_split(name)
        return splits.folds_of(made[1]) if made else self.split(name).folds

    def stands_for(self, dataset: str) -> str:
        """Return the data set used in place of ``dataset``: itself, or the last one in the chain of its stand-ins."""
        return self._stand_ins(dataset)[-1]

    @functools.cache  # noqa: B019
    def _stand_ins(self, dataset: str) -> list[str]:
        """Return a data set, its stand-in, the stand-in of that one, and so on.

        A stand-in is named by the configuration (a data set that names itself has none), otherwise by the data
        set's own file. In demo mode a data set with phantoms needs none. Raises UserError for a circular chain.
        """
        chain = [dataset]
        while True:
            used = self.config.stand_ins.get(chain[-1]) or self._own_stand_in(chain[-1])
            if used == chain[-1]:
                return chain
            chain.append(used)
            if used in chain[:-1]:
                raise UserError(f"{self.source}: stand_ins: a circle, {' to '.join(chain)}; remove one of them")

    def _own_stand_in(self, name: str) -> str:
        path, dataset = self.described(name)
        if dataset.stand_in is None or (self.config.mode == "demo" and dataset.phantom):
            return name
        file_of("datasets", dataset.stand_in, "data set", f"{path}: stand_in")
        return dataset.stand_in

    def split_for(self, dataset: str, split: str) -> str:
        """Return the name that a data set, or the one that stands in for it, gives to a split."""
        chain = self._stand_ins(dataset)
        for name in chain[1:] or chain:
            split = self.dataset(name).splits.get(split, split)
        return split

    def label_of(self, label: str, used: str, stood_in: bool) -> str:
        """Return a label with the paper's data set and what replaces it: the stand-in ``used``, or phantoms."""
        if not label:
            return ""
        return (f"{used} for {label}" if stood_in else label) + " (phantoms)" * (self.config.mode == "demo")

    def lungs(self, dataset: str) -> LungSource:
        """Return the source of a data set's lung masks: from the configuration, else the data set's file.

        In demo mode it is what the source names as ``in_demo``.
        """
        chosen = self.config.lungs.get(dataset)
        if chosen is None:
            chosen = self.dataset(dataset).lungs
            if self.config.mode == "demo":
                chosen = lung_masks.source(chosen)["in_demo"]
            parts = {name: self.lungs(name) for name in self.dataset(dataset).joins}
            bare = [name for name, source in parts.items() if source == "none"]
            if bare and chosen == "labels":
                if len(bare) < len(parts):
                    raise UserError(
                        f"{self.source}: lungs: {dataset} takes its lung masks from its parts, and {bare[0]} has none; "
                        f"set {dataset}: none, or another source for {bare[0]}"
                    )
                chosen = "none"
        return chosen

    def masked_by(self, dataset: str) -> list[str]:
        """Return the data sets whose sources make the lung masks of one: itself, or the parts of a joined data set."""
        parts = self.dataset(dataset).joins
        return parts if parts and self.lungs(dataset) == "labels" else [dataset]

    def lung_source(self, dataset: str) -> lung_masks.Source:
        """Return the properties of the source of a data set's lung masks."""
        return lung_masks.source(self.lungs(dataset))

    def lungs_in_words(self, dataset: str) -> str:
        """Return the source of a data set's lung masks in words, by part where those of its parts differ."""
        sources = {name: self.lungs(name) for name in self.masked_by(dataset)}
        if len(set(sources.values())) == 1:
            return next(iter(sources.values()))
        return " and ".join(f"{source} ({name})" for name, source in sources.items())

    def class_values(self, dataset: str, classes: list[str], where: str = "classes") -> dict[str, tuple[int, ...]]:
        """Return class -> the label values that belong to it; none for LUNG_MASK, whose truth is the lung mask.

        A data set's own label or union of the name LUNG_MASK is treated like any other label.
        Raises UserError for an unknown class, naming ``where`` it was asked for.
        """
        known = self.dataset(dataset)
        values: dict[str, tuple[int, ...]] = {}
        for name in classes:
            own = {**known.classes, **known.unions}
            if name == LUNG_MASK and name not in own:
                values[name] = ()
                continue
            parts = known.unions.get(name, [name])
            if any(part not in known.classes for part in parts):
                legal = [*own, LUNG_MASK]
                raise UserError(f"{where}: data set {dataset!r} has no class {name!r}; {nearest(name, legal)}")
            values[name] = tuple(known.classes[part] for part in parts)
        return values

    def lesion_values(self, dataset: str, classes: list[str]) -> tuple[int, ...]:
        """Return the label values that count as lesion in an unlabelled pool: those of the classes, else all values."""
        known = self.dataset(dataset)
        if all(name in known.classes or name in known.unions for name in classes):
            return tuple(value for values in self.class_values(dataset, classes).values() for value in values)
        return tuple(known.classes.values())

    @property
    def mirror(self) -> Path | None:
        """Return the local folder that is searched before a download: from the configuration, else COVIDSEG_MIRROR."""
        found = self.config.mirror or os.environ.get("COVIDSEG_MIRROR") or None
        if found is not None and not Path(found).is_dir():
            raise UserError(f"mirror: {found}: no such folder; correct config.yaml or COVIDSEG_MIRROR")
        return Path(found) if found else None
