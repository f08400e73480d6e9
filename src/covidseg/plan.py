"""From the YAML files to resolved runs, tables and paths: what has to be made, decided before anything runs.

Pure but for reading: no torch, no data. The Snakefile and every verb of the command line start from ``Plan.load``.
"""

from __future__ import annotations

import copy
import functools
import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from covidseg import losses, nets
from covidseg.data import splits
from covidseg.data.importers import IMPORTERS
from covidseg.data.importers.folder import names as names_below
from covidseg.errors import UserError, nearest
from covidseg.files import need, write_text
from covidseg.nets import published
from covidseg.paths import Paths
from covidseg.resolve import described_or_released, merge, scale, scale_maps
from covidseg.schema import (
    Claim,
    Config,
    Dataset,
    DatasetTable,
    ExamplesFigure,
    Follow,
    Group,
    LungSource,
    Paper,
    Preset,
    Protocol,
    QualitativeFigure,
    Released,
    ResultTable,
    RunSpec,
    Training,
    load,
    parse,
    read_yaml,
)
from covidseg.score import check_measures

WORKFLOW = Path("workflow")
SUPPORT = "lungmask"  # a paper file without tables: the models that make lung masks
PHANTOM_LUNGS = f"{SUPPORT}/phantom"
METRIC_PROSE = {"title", "about", "better", "digits", "unit", "not_comparable"}
MOST_MEMORY = 4 << 20  # MiB of one training; no machine has more
TESTED = ("dataset", "split", "classes", "input")  # the settings that say what is tested, and on which grid
STANDARD = "standard"  # the protocol under which every prediction is scored, besides its table's own


@dataclass(frozen=True)
class Run:
    """One resolved run of a paper, with the folds and seeds to make."""

    id: str
    spec: RunSpec
    folds: tuple[int, ...]
    all_folds: tuple[int, ...]
    seeds: tuple[int, ...]
    scaled: tuple[str, ...] = field(default=(), metadata={"what": "settings the preset changed"})
    stand_ins: tuple[tuple[str, str], ...] = ()  # (the paper's data set, the one used in its place)
    released: tuple[str, ...] = ()  # deviations that follow the released code

    @property
    def jobs(self) -> list[tuple[int, int]]:
        """Return (fold, seed) of every training."""
        return [(fold, seed) for fold in self.folds for seed in self.seeds]

    @property
    def hash(self) -> str:
        """Return the fingerprint of the resolved spec: what a result must have been made from."""
        return fingerprint_of(self.spec.model_dump(mode="json"))


def fingerprint_of(value: Any) -> str:
    """Return 16 hex digits of the sha256 of a JSON value."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


class Plan:
    """Everything the configuration asks for, validated."""

    def __init__(self, config: Config, source: str = "config.yaml") -> None:
        self.config = config
        self.source = source
        self._only = frozenset(config.only)
        self.preset_name = config.preset
        if config.preset == "auto":
            self.preset_name = "tiny" if config.mode == "demo" else "full"
        self.preset = load(Preset, self._named("presets", self.preset_name, "preset"))
        self.paths = Paths(config.data / config.mode, config.results / config.mode)
        self.papers = {name: self._paper(name) for name in [*config.papers, SUPPORT]}
        self._check_names()

    @classmethod
    def load(cls, source: Path | dict[str, Any] = Path("config.yaml")) -> Plan:
        """Read and validate the configuration and everything it names. Raises UserError with one line."""
        if isinstance(source, dict):
            return cls(parse(Config, source, "config.yaml"))
        return cls(parse(Config, read_yaml(source), str(source)), str(source))

    # -- the catalogue

    def _named(self, kind: str, name: str, what: str) -> Path:
        path = WORKFLOW / kind / f"{name}.yaml"
        if not path.is_file() or Path(name).name != name:
            if not WORKFLOW.is_dir():
                raise UserError("no folder 'workflow' here; run covidseg in the project's folder")
            raise UserError(f"{self.source}: unknown {what} {name!r}; {nearest(name, _stems(WORKFLOW / kind))}")
        return path

    def _paper(self, name: str) -> Paper:
        return load(Paper, self._named("papers", name, "paper"))

    @functools.cache  # noqa: B019 - a plan lives as long as the process
    def dataset(self, name: str) -> Dataset:
        """Return a data set's description, as the mode reads it: phantoms are cropped to the phantom's size."""
        path, dataset = self._described(name)
        if dataset.importer not in IMPORTERS:
            raise UserError(
                f"{path}: importer: unknown name {dataset.importer!r}; {nearest(dataset.importer, IMPORTERS)}"
            )
        if dataset.importer == "folder" and dataset.folder is None:
            raise UserError(f"{path}: folder: missing; name the folder with imagesTr, labelsTr and dataset.json")
        self._known([dataset.keep], ["all", "lesion", *dataset.classes, *dataset.unions], f"{path}: keep")
        parts = self._parts(dataset, path)
        if self.config.mode == "demo":
            sizes = {part.phantom.size for part in parts or [dataset] if part.phantom}
            if not sizes:
                raise UserError(f"{name}: has no phantom twin; use mode: paper, or another data set")
            if dataset.crop:
                dataset = dataset.model_copy(update={"crop": dataset.crop.model_copy(update={"size": sizes.pop()})})
            if dataset.crop and sizes:
                raise UserError(
                    f"{path}: joins: the phantoms of {', '.join(dataset.joins)} differ in size; give them one"
                )
        return dataset

    def _parts(self, dataset: Dataset, path: Path) -> list[Dataset]:
        """Return the data sets that one joins. Raises UserError when they do not fit together."""
        if (dataset.importer == "joined") != (len(dataset.joins) > 1):
            raise UserError(f"{path}: joins: importer joined, and no other, names the two or more data sets it joins")
        self._known(dataset.joins, _stems(WORKFLOW / "datasets"), f"{path}: joins")
        for name in dataset.joins:
            part = load(Dataset, self._named("datasets", name, "data set"))
            if part.joins:
                raise UserError(f"{path}: joins: {name} itself joins others; name its parts")
            for key in ("classes", "kept", "crop"):
                if getattr(part, key) != getattr(dataset, key):
                    raise UserError(
                        f"{path}: {key.replace('kept', 'keep')}: differs from that of {name}; make both equal"
                    )
        return [self.dataset(name) for name in dataset.joins]

    def _described(self, name: str) -> tuple[Path, Dataset]:
        """Return a data set as its file, or the paper file that brings its own scans, describes it, and that file."""
        paper = self.papers.get(name)
        path = WORKFLOW / "datasets" / f"{name}.yaml"
        if paper is None or paper.dataset is None:
            return path, load(Dataset, self._named("datasets", name, "data set"))
        if path.is_file():
            raise UserError(f"{path}: {WORKFLOW}/papers/{name}.yaml describes a data set of this name too; rename one")
        from covidseg.data.importers.folder import described

        return WORKFLOW / "papers" / f"{name}.yaml", described(paper.dataset, paper.paper.title)

    @functools.cache  # noqa: B019
    def protocol(self, name: str) -> Protocol:
        """Return a metric convention."""
        path = self._named("protocols", name, "protocol")
        protocol = load(Protocol, path)
        check_measures(protocol, str(path))
        return protocol

    @functools.cache  # noqa: B019
    def split(self, name: str) -> splits.Split:
        """Return a split. Raises UserError when it has yet to be made."""
        path = self.split_path(name)
        return splits.read(need(path, f"split {name}") if self.made_split(name) else path)

    def split_path(self, name: str) -> Path:
        """Return the CSV of a split: a committed one, or the place of one that is made."""
        path = WORKFLOW / "splits" / f"{name}.csv"
        if path.is_file():
            return path
        if self.made_split(name):
            return self.paths.split(name)
        legal = _stems(WORKFLOW / "splits", "csv")
        raise UserError(
            f"{self.source}: unknown split {name!r}; {nearest(name, legal)}; or a rule: {splits.RULES_IN_WORDS}"
        )

    def made_split(self, name: str) -> tuple[str, str] | None:
        """Return (data set, rule) of a split that is made, as mine-folds-5; None of one that a person wrote.

        Its CSV copied to workflow/splits is a person's: it stays as it is when scans are added.
        """
        written = (WORKFLOW / "splits" / f"{name}.csv").is_file()
        return None if written else splits.rule_of(name)

    def split_folds(self, name: str) -> list[int]:
        """Return the folds of a split, made or not."""
        made = self.made_split(name)
        return splits.folds_of(made[1]) if made else self.split(name).folds

    def lungs(self, dataset: str) -> LungSource:
        """Return where a data set's lung masks come from: the config, else the data set; its twin has its own U-Net."""
        chosen = self.config.lungs.get(dataset)
        if chosen is None:
            chosen = self.dataset(dataset).lungs
            if self.config.mode == "demo" and chosen in ("r231", "r231covidweb"):
                chosen = "phantom"
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
        """Return the data sets whose lung masks one has: itself, or its parts where their masks are its labels."""
        parts = self.dataset(dataset).joins
        return parts if parts and self.lungs(dataset) == "labels" else [dataset]

    def lungs_in_words(self, dataset: str) -> str:
        """Return where a data set's lung masks come from, for readers; by part where its parts' differ."""
        sources = {name: self.lungs(name) for name in self.masked_by(dataset)}
        if len(set(sources.values())) == 1:
            return next(iter(sources.values()))
        return " and ".join(f"{source} ({name})" for name, source in sources.items())

    def class_values(self, dataset: str, classes: list[str]) -> dict[str, tuple[int, ...]]:
        """Return, per class, the label values it joins; ``lung`` has none: its truth is the lung mask."""
        known = self.dataset(dataset)
        values: dict[str, tuple[int, ...]] = {}
        for name in classes:
            if name == "lung":
                values[name] = ()
                continue
            parts = known.unions.get(name, [name])
            if any(part not in known.classes for part in parts):
                legal = [*known.classes, *known.unions, "lung"]
                raise UserError(f"data set {dataset!r} has no class {name!r}; {nearest(name, legal)}")
            values[name] = tuple(known.classes[part] for part in parts)
        return values

    def lesion_values(self, dataset: str, classes: list[str]) -> tuple[int, ...]:
        """Return the label values that are lesion in an unlabelled pool: those of the classes, else all it has."""
        known = self.dataset(dataset)
        if all(name in known.classes or name in known.unions for name in classes):
            return tuple(value for values in self.class_values(dataset, classes).values() for value in values)
        return tuple(known.classes.values())

    # -- runs

    @functools.cache  # noqa: B019
    def run(self, run: str) -> Run:
        """Resolve one run: the paper's defaults, described or released, the row's own settings, then mode and preset.

        Raises UserError naming the file and key.
        """
        paper_name, _, name = run.partition("/")
        paper = self.papers.get(paper_name)
        if paper is None:
            raise UserError(f"unknown paper in run {run!r}; {nearest(paper_name, self.papers)}")
        if name not in paper.runs:
            raise UserError(f"unknown run {run!r}; {nearest(name, paper.runs)}")
        where = f"{WORKFLOW}/papers/{paper_name}.yaml: runs.{name}"
        own = copy.deepcopy(paper.runs[name] or {})
        follow = own.pop("follow", "described")
        raw, released = described_or_released(paper, follow, where, name)
        raw = self._own(paper_name) | raw
        if own.get("train", {}).get("method") == "released":  # of a training only what is tested remains
            raw, released = {key: raw[key] for key in TESTED if key in raw} | {"net": {}, "losses": {}}, []
        return self._resolve(run, merge(raw, own), released, where)

    def _own(self, paper: str) -> dict[str, Any]:
        """Return what the scans that a paper file brings along say of its runs: data set, split, classes."""
        scans = self.papers[paper].dataset
        if scans is None:
            return {}
        from covidseg.data.importers.folder import default_split

        known = self.dataset(paper)
        classes = list(known.unions or known.classes)
        return {"dataset": paper, "split": default_split(scans.folder), "classes": classes}

    def reference(self, net: str, follow: Follow) -> RunSpec:
        """Return the spec of the paper that brought a network, wholly described or wholly released.

        It is the first whose default network it is; papers that name deviations of its released code go first.
        """
        papers = {name: self._paper(name) for name in _stems(WORKFLOW / "papers")}
        for name, paper in sorted(papers.items(), key=lambda item: not item[1].deviations):
            if paper.defaults.get("net", {}).get("name") == net:
                where = f"{WORKFLOW}/papers/{name}.yaml: defaults"
                return parse(RunSpec, described_or_released(paper, follow, where)[0], where)
        nets.check({"name": net}, "params")
        raise UserError(f"no paper has {net!r} as its default network; name one that has")

    def _resolve(self, run: str, raw: dict[str, Any], released: list[str], where: str) -> Run:
        if isinstance(given := raw.get("losses"), dict):
            raw["losses"] = {name: options or {} for name, options in given.items() if options is not False}
        spec = parse(RunSpec, raw, where)
        if spec.maps:
            self._check_maps(spec, where)
        else:
            nets.check(spec.net, where)
            losses.check(spec.losses, where, len(spec.classes))
        if spec.train.ONE_CLASS and len(spec.classes) > 1:
            raise UserError(
                f"{where}.train.method: {spec.train.method} is for one class (found {len(spec.classes)}); join them"
            )
        dataset = self.stands_for(spec.dataset)
        split_name = self.dataset(dataset).splits.get(spec.split, spec.split)
        if splits.is_rule(split_name):
            split_name = f"{dataset}-{split_name}"
        asked = [spec.dataset, *([spec.pool.dataset] if spec.pool else [])]
        spec = self._with_init(spec, where)
        scaled, changes = scale_maps(spec, self.preset) if spec.maps else scale(spec, self.preset)
        spec = scaled.model_copy(
            update={
                "dataset": dataset,
                "split": split_name,
                "train": self._with_pool(scaled),
                "lungs": self.lungs(dataset),
                "threads": self.preset.threads,
                "values": self.class_values(dataset, spec.classes),
            }
        )
        if spec.input.mode != "slice" and spec.lungs == "phantom" and "lung" in spec.classes:
            raise UserError(f"{where}: the lung network cannot take lung masks as input; use input.mode: slice")
        if (needed := self.memory_mb(spec)) > MOST_MEMORY:
            raise UserError(f"{where}: would need {needed >> 20} TiB; lower net.width, input.size or train.batch")
        folds, seeds = self.split_folds(split_name), self.config.seeds
        if run.startswith(f"{SUPPORT}/"):  # a model to use, not to compare: trained once
            folds = folds[:1]
        if run.startswith(f"{SUPPORT}/") or spec.maps:
            seeds = seeds[:1]
        wanted = (
            folds[: self.preset.folds] if self.config.folds == "all" else [f for f in self.config.folds if f in folds]
        )
        if not wanted and len(folds) > 1:
            raise UserError(f"{self.source}: folds: split {split_name!r} has folds {', '.join(map(str, folds))} only")
        return Run(
            id=run,
            spec=spec,
            folds=tuple(wanted or folds),
            all_folds=tuple(folds),
            seeds=tuple(seeds),
            scaled=tuple(changes),
            stand_ins=tuple((name, used) for name in asked if (used := self.stands_for(name)) != name),
            released=tuple(released),
        )

    def _with_init(self, spec: RunSpec, where: str) -> RunSpec:
        """Return the spec with a random start of its encoder where published weights cannot be its.

        That is so in demo mode, which downloads nothing, at another width, and where the config says so.
        """
        if published.encoder_of(spec.net) is None:
            return spec
        wide = spec.net.get("width", 1.0) * (self.preset.width or 1.0)
        if self.config.mode == "demo" or self.config.init == "random" or wide != 1:
            return spec.model_copy(update={"net": spec.net | {"init": "random"}})
        if spec.input.channels != 1:
            raise UserError(
                f"{where}.net.init: ImageNet's weights take a picture; set input.mode: slice or masked, or init: random"
            )
        return spec

    def _check_maps(self, spec: RunSpec, where: str) -> None:
        """Check a run whose predictions are others' maps. Raises UserError."""
        assert isinstance(spec.train, Released)
        for key in ("net", "losses"):
            if getattr(spec, key):
                raise UserError(f"{where}.{key}: method released trains nothing; remove it")
        folders = [source.name for source in self._described(spec.train.maps)[1].sources]
        self._known(spec.train.folders, spec.classes, f"{where}.train.folders")
        self._known(spec.train.folders.values(), folders, f"{where}.train.folders")
        if missing := [name for name in spec.classes if name not in spec.train.folders]:
            raise UserError(f"{where}.train.folders: {missing[0]}: missing; name the folder of its maps")

    def _with_pool(self, spec: RunSpec) -> Training:
        """Return the settings of the training, with the pool's stand-in where there is one."""
        if spec.pool is None:
            return spec.train
        used = self.stands_for(spec.pool.dataset)
        self._described(used)
        return spec.train.model_copy(update={"pool": spec.pool.model_copy(update={"dataset": used})})

    def start(self, run: str, spec: RunSpec) -> str | None:
        """Return the id of the run whose model a run's method starts from."""
        name = getattr(spec.train, "start", None)
        return qualified(run.partition("/")[0], name) if name else None

    def prior(self, run: str, spec: RunSpec) -> str | None:
        """Return the id of the run whose maps are the prior that a run's network sees."""
        return qualified(run.partition("/")[0], spec.input.prior.run) if spec.input.prior else None

    def models_for(self, run: str) -> list[str]:
        """Return the ids of the runs whose models, of the same fold and seed, a run needs."""
        spec = self.run(run).spec
        return [other for other in (self.start(run, spec), self.prior(run, spec)) if other]

    def with_models(self) -> list[str]:
        """Return ``runs`` and those whose models they need, and so on, each once."""
        found = dict.fromkeys(self.runs())
        left = list(found)
        while left:
            others = [other for other in self.models_for(left.pop()) if other not in found]
            found.update(dict.fromkeys(others))
            left += others
        return list(found)

    # -- what is asked for

    def tables(self) -> Iterator[tuple[str, str, ResultTable | DatasetTable]]:
        """Yield (paper, table name, table) of every table that has at least one row to make."""
        for paper in self.config.papers:
            for name, table in self.papers[paper].tables.items():
                if self.table_runs(paper, table) if isinstance(table, ResultTable) else self.table_datasets(table):
                    yield paper, name, table

    def table_runs(self, paper: str, table: ResultTable) -> list[str]:
        """Return the ids of the runs that a table needs, within ``only``."""
        return [run for row in table.rows if row.run and self.wanted(run := qualified(paper, row.run))]

    def table_datasets(self, table: DatasetTable) -> list[str]:
        """Return the data sets that a table needs; with ``only``, those that the chosen runs use."""
        return self._used(name for row in table.rows for name in row.datasets)

    def _used(self, datasets: Iterable[str]) -> list[str]:
        """Return what stands for data sets, each once; with ``only``, those that the chosen runs use."""
        names = dict.fromkeys(map(self.stands_for, datasets))
        if not self.config.only:
            return list(names)
        used = {self.run(run).spec.dataset for run in self.config.only}
        return [name for name in names if name in used]

    def stands_for(self, dataset: str) -> str:
        """Return the data set used in place of ``dataset``: itself, unless the config names a stand-in."""
        return self.config.stand_ins.get(dataset, dataset)

    def figures(self) -> Iterator[tuple[str, str]]:
        """Yield (paper, figure name) of every figure whose runs are all asked for and whose data are all there."""
        for paper in self.config.papers:
            for name, figure in self.papers[paper].figures.items():
                if all(map(self.wanted, self.figure_runs(paper, name))) and self._has_examples(figure):
                    yield paper, name

    def _has_examples(self, figure: QualitativeFigure | ExamplesFigure) -> bool:
        """Return whether the data sets of a figure of examples are used and, stand-ins too, have its classes."""
        if not isinstance(figure, ExamplesFigure):
            return True
        used = self._used(figure.datasets)
        return all(
            (name := self.stands_for(group.dataset)) in used
            and {*group.classes} <= {*self.dataset(name).classes, *self.dataset(name).unions}
            for group in figure.groups
        )

    def claims(self) -> Iterator[str]:
        """Yield the papers with at least one claim that can be tested."""
        yield from (paper for paper in self.config.papers if self.claim_runs(paper))

    def claim_runs(self, paper: str) -> list[str]:
        """Return the ids of the runs that a paper's testable claims compare."""
        claims = [claim for claim in self.papers[paper].claims if self.testable(paper, claim)]
        return list(dict.fromkeys(qualified(paper, run) for claim in claims for run in claim.runs))

    def testable(self, paper: str, claim: Claim) -> bool:
        """Return whether all runs of a claim are asked for."""
        return all(self.wanted(qualified(paper, run)) for run in claim.runs)

    def mask_runs(self, paper: str) -> list[str]:
        """Return the ids of the runs of which a paper wants masks of whole scans, within ``only``."""
        model = self.papers[paper]
        names = model.masks if model.masks is not None else model.runs if model.dataset else []
        return [run for name in names if self.wanted(run := qualified(paper, name))]

    def masks(self) -> list[str]:
        """Return the ids of all runs of which masks are wanted."""
        return [run for paper in self.config.papers for run in self.mask_runs(paper)]

    def wanted(self, run: str) -> bool:
        """Return whether a run can be made, phantoms having no maps of others, and ``only`` lets it be."""
        if self.config.mode == "demo" and self.run(run).spec.maps:
            return False
        return not self._only or run in self._only

    def known(self, run: str) -> bool:
        """Return whether a run belongs to a paper that was read."""
        return run.partition("/")[0] in self.papers

    def runs(self) -> list[str]:
        """Return the ids of all runs that tables, figures, claims, masks and ``only`` ask for, each once."""
        found: dict[str, None] = dict.fromkeys(filter(self.wanted, self.config.only))
        for paper, _, table in self.tables():
            if isinstance(table, ResultTable):
                found.update(dict.fromkeys(self.table_runs(paper, table)))
        for paper, name in self.figures():
            found.update(dict.fromkeys(self.figure_runs(paper, name)))
        for paper in self.claims():
            found.update(dict.fromkeys(self.claim_runs(paper)))
        found.update(dict.fromkeys(self.masks()))
        return list(found)

    def all_runs(self) -> list[str]:
        """Return ``runs``, those whose models they need, and the models that their data's lung masks need."""
        runs = self.with_models()
        if any(self.lungs(name) == "phantom" for name in self.all_datasets()):
            runs.append(PHANTOM_LUNGS)
        return list(dict.fromkeys(runs))

    def all_datasets(self) -> list[str]:
        """Return the data sets that runs, their pools, tables and figures use, parts before what joins them."""
        specs = [self.run(run).spec for run in self.with_models()]
        names = [name for spec in specs for name, _ in self.tensors_of(spec)]
        names += [spec.maps for spec in specs if spec.maps]
        for _, _, table in self.tables():
            if isinstance(table, DatasetTable):
                names += self.table_datasets(table)
        for paper, figure in self.figures():
            names += self.figure_datasets(paper, figure)
        names = [part for name in names for part in (*self.dataset(name).joins, name)]
        if any(self.lungs(name) == "phantom" for name in names):
            names.append(self.run(PHANTOM_LUNGS).spec.dataset)
        return list(dict.fromkeys(names))

    @functools.cache  # noqa: B019
    def leak_sets(self) -> list[tuple[str, str]]:
        """Return (data set, split) of the runs: what is checked for leaks."""
        specs = [self.run(run).spec for run in self.runs()]
        return list(dict.fromkeys((spec.dataset, spec.split) for spec in specs))

    def trained_beside(self, dataset: str) -> list[str]:
        """Return the other data sets that runs learn from, with labels or as a pool without: a model of theirs may be
        tested on ``dataset``.
        """
        names = dict.fromkeys([*(name for name, _ in self.leak_sets()), *self.pools()])
        return [name for name in names if name != dataset]

    def pools(self, dataset: str | None = None, split: str | None = None) -> dict[str, set[str]]:
        """Return data set -> cases left out of it, of the pools from which a split's runs, or all runs, learn.

        A case is left out when every run with that pool leaves it out. A data set that is its own pool gives its
        unlabelled slices.
        """
        pools: dict[str, set[str]] = {}
        for spec in (self.run(run).spec for run in self.with_models()):
            if spec.pool and (dataset is None or (spec.dataset, spec.split) == (dataset, split)):
                without = set(spec.pool.without)
                pools[spec.pool.dataset] = pools.get(spec.pool.dataset, without) & without
        return pools

    def unseen(self, dataset: str) -> set[str]:
        """Return the cases of a data set that no run learns from: it is a pool only, and all leave them out."""
        labelled = any(name == dataset for name, _ in self.leak_sets())
        return set() if labelled else self.pools().get(dataset, set())

    def table_leaks(self, paper: str, table: ResultTable) -> list[tuple[str, str]]:
        """Return (data set, split) of a table's runs."""
        specs = [self.run(run).spec for run in self.table_runs(paper, table)]
        return list(dict.fromkeys((spec.dataset, spec.split) for spec in specs))

    def tensor_sets(self) -> list[tuple[str, int]]:
        """Return (data set, size) of the tensors that runs need."""
        specs = [self.run(run).spec for run in self.all_runs()]
        return list(dict.fromkeys(pair for spec in specs for pair in self.tensors_of(spec)))

    def tensors_of(self, spec: RunSpec) -> list[tuple[str, int]]:
        """Return (data set, size) of the tensors that a run needs: its own, then the pool's."""
        names = [spec.dataset, *([spec.pool.dataset] if spec.pool else [])]
        return [(name, spec.input.size) for name in dict.fromkeys(names)]

    def figure_runs(self, paper: str, figure: str) -> list[str]:
        """Return the ids of the runs that a figure shows."""
        return [qualified(paper, run) for run in self.papers[paper].figures[figure].runs]

    def figure_datasets(self, paper: str, figure: str) -> list[str]:
        """Return the data sets that a figure shows without a run."""
        return list(dict.fromkeys(map(self.stands_for, self.papers[paper].figures[figure].datasets)))

    def group_jobs(self, paper: str, group: Group) -> dict[str, tuple[Run, int, int]]:
        """Return column heading -> run, fold and seed of a figure's rows.

        The fold is the group's own, or the first one made where that is not.
        """
        runs = {heading: self.run(qualified(paper, run)) for heading, run in group.runs.items()}
        folds = next(iter(runs.values())).folds
        fold = group.fold if group.fold in folds else folds[0]
        return {heading: (run, fold, run.seeds[0]) for heading, run in runs.items()}

    def figure_jobs(self, paper: str, figure: str) -> list[tuple[str, int, int]]:
        """Return (run, fold, seed) of every training that a figure shows."""
        model = self.papers[paper].figures[figure]
        groups = model.groups if isinstance(model, QualitativeFigure) else []
        jobs = [job for group in groups for job in self.group_jobs(paper, group).values()]
        return list(dict.fromkeys((run.id, fold, seed) for run, fold, seed in jobs))

    @property
    def mirror(self) -> Path | None:
        """Return the local folder asked before any download: the config's, else COVIDSEG_MIRROR."""
        found = self.config.mirror or os.environ.get("COVIDSEG_MIRROR") or None
        if found is not None and not Path(found).is_dir():
            raise UserError(f"mirror: {found}: no such folder; correct config.yaml or COVIDSEG_MIRROR")
        return Path(found) if found else None

    # -- what decides each step's result: rules rerun when these change, and only then

    def _dataset_hash(self, dataset: str, *keys: str) -> str:
        return fingerprint_of(self.dataset(dataset).model_dump(mode="json", include=set(keys)))

    def fetch_hash(self, dataset: str) -> str:
        """Return the hash of where a data set comes from, or of how its twin looks."""
        return self._dataset_hash(dataset, *(("phantom",) if self.config.mode == "demo" else ("sources", "folder")))

    def import_hash(self, dataset: str) -> str:
        """Return the hash of how a data set is read; of a user's folder also of its files' names, sizes and times."""
        own = self._dataset_hash(dataset, "importer", "classes", "window", "folder", "joins")
        folder = self.dataset(dataset).folder
        files = sorted(path for path in folder.rglob("*") if path.is_file()) if folder else []
        return fingerprint_of([own, [(str(f), f.stat().st_size, f.stat().st_mtime_ns) for f in files]])

    def imported_from(self, dataset: str) -> list[Path]:
        """Return the records that an import waits for: of the files as they came, or of the parts' stores."""
        parts = self.dataset(dataset).joins
        made = [self.paths.canonical(part) / name for part in parts for name in ("import.json", "lungs.json")]
        return made or [self.paths.raw(dataset) / "fetched.json"]

    def lungs_hash(self, dataset: str) -> str:
        """Return the hash of where lung masks come from."""
        return fingerprint_of([self.lungs(dataset), self._dataset_hash(dataset, "window")])

    def tensors_hash(self, dataset: str) -> str:
        """Return the hash of which part of which slices enters the tensors."""
        return fingerprint_of([self._dataset_hash(dataset, "crop", "classes"), self.dataset(dataset).kept])

    def leaks_hash(self, dataset: str, split: str) -> str:
        names = [dataset, *self.trained_beside(dataset)]
        sets = [(n, self.dataset(n).kept, self.dataset(n).classes, sorted(self.unseen(n))) for n in names]
        return fingerprint_of([sets, {name: sorted(cases) for name, cases in self.pools(dataset, split).items()}])

    def score_hash(self, run: str) -> str:
        """Return the hash of how a run is scored; how a protocol is worded or printed does not count."""
        protocols = {
            name: self.protocol(name).model_dump(
                mode="json", exclude={"title": True, "about": True, "metrics": {"__all__": METRIC_PROSE}}
            )
            for name in self.protocols(run)
        }
        return fingerprint_of([protocols, self.run(run).jobs, self.run(run).spec.values])

    def table_hash(self, paper: str, table: str) -> str:
        """Return the hash of a table's rows and of all that its caption says."""
        model, head = self.papers[paper].tables[table], self.papers[paper].paper
        about: list[Any] = [
            model.model_dump(mode="json"),
            head.model_dump(mode="json"),
            self.config.mode,
            self.preset_name,
        ]
        if isinstance(model, ResultTable):
            about += [
                [self.caveats(run), run.released, run.jobs] for run in map(self.run, self.table_runs(paper, model))
            ]
            about += [self.protocol(name).model_dump(mode="json") for name in (model.protocol, STANDARD)]
        else:
            about += [self._dataset_hash(n, "classes", "unions", "crop") for n in self.table_datasets(model)]
        return fingerprint_of(about)

    def figure_hash(self, paper: str, figure: str) -> str:
        """Return the hash of what a figure shows."""
        data = [[n, self._dataset_hash(n, "classes", "unions")] for n in self.figure_datasets(paper, figure)]
        model = self.papers[paper].figures[figure].model_dump(mode="json")
        return fingerprint_of([model, self.figure_jobs(paper, figure), data, self.config.mode])

    def split_hash(self, split: str) -> str:
        """Return the hash of how a split is made."""
        made = self.made_split(split)
        return fingerprint_of([made, self._dataset_hash(made[0], "keep", "classes", "unions")] if made else None)

    def masks_hash(self, run: str) -> str:
        """Return the hash of what a run's masks of whole scans are made of, and how they are written."""
        resolved = self.run(run)
        reading = self._dataset_hash(resolved.spec.dataset, "crop", "classes", "importer")
        return fingerprint_of([resolved.hash, resolved.jobs, reading])

    def claims_hash(self, paper: str) -> str:
        about = [self.caveats(self.run(run)) for run in self.claim_runs(paper)]
        claims = [claim.model_dump(mode="json") for claim in self.papers[paper].claims]
        metrics = [
            self.protocol(c.protocol).metrics[c.metric].model_dump(mode="json") for c in self.papers[paper].claims
        ]
        return fingerprint_of([claims, metrics, about, self.config.mode, self.preset_name])

    def report_hash(self) -> str:
        """Return the hash of all that the report says besides results."""
        papers = [self.papers[name].model_dump(mode="json") for name in self.config.papers]
        datasets = [self.dataset(name).model_dump(mode="json") for name in self.all_datasets()]
        caveats = [self.caveats(self.run(run)) for run in self.all_runs()]
        config = self.config.model_dump(mode="json", include={"mode", "preset", "only", "folds", "seeds"})
        return fingerprint_of([config, self.preset.model_dump(mode="json"), papers, datasets, caveats])

    # -- code behind a step, by module; see record.code_fingerprint

    def train_modules(self, spec: RunSpec) -> list[str]:
        """Return the modules behind a training."""
        net = [f"nets.{spec.net['name']}"] if spec.net else []
        return [f"train.{spec.train.method}", *net, *(f"losses.{name}" for name in spec.losses)]

    def lung_network(self, dataset: str) -> bool:
        """Return whether a data set's lung masks are made by a network."""
        return self.lungs(dataset) not in ("labels", "threshold", "none")

    def lung_modules(self, dataset: str) -> list[str]:
        """Return the modules behind a data set's lung masks."""
        source = self.lungs(dataset)
        own = {"threshold": ["lungs.threshold"], "phantom": ["lungs.trained"]}
        return ["lungs", *own.get(source, ["lungs.published"] if self.lung_network(dataset) else [])]

    # -- what a training needs, for the scheduler

    def memory_mb(self, spec: RunSpec) -> int:
        """Return a training's memory in MiB: libraries, weights and copies, activations; as measured, and a third.

        Measured on the hungriest network, the U-Net: SSA-Net's activations take a quarter of its.
        300 more are for Snakemake, which runs beside the training in a batch system's job.
        """
        width = spec.net.get("width", 1.0)
        side = spec.input.size * max(spec.train.scales)
        batch = max(getattr(spec.train, key) for key in spec.train.BATCHES)
        return round(300 + 1.35 * (350 + 800 * width**2 + batch * side**2 * width * 7e-3))

    def minutes(self, spec: RunSpec) -> int:
        """Return a generous run time in minutes, by epochs and size."""
        pixels = sum((scale * spec.input.size / 64) ** 2 for scale in spec.train.scales)
        return 30 + round(spec.train.most_epochs * pixels * spec.net.get("width", 1.0) / 8)

    # -- how a result differs from what the paper did

    def caveats(self, run: Run) -> list[str]:
        """Return why a run's numbers cannot be held against the printed ones; empty when they can."""
        out = []
        if self.config.mode == "demo":
            out.append("phantom CT, not patients")
        out += [f"{used} stands in for {name}" for name, used in run.stand_ins]
        if run.folds != run.all_folds:
            out.append(f"folds {', '.join(map(str, run.folds))} of {len(run.all_folds)}")
        for name in self.masked_by(run.spec.dataset):
            used, own = self.lungs(name), self.dataset(name).lungs
            seen = run.spec.input.mode != "slice" or "lung" in run.spec.classes
            if used != own and (seen or self.dataset(run.spec.dataset).crop):  # crops go round the lungs
                whose = "" if name == run.spec.dataset else f" of {name}"
                out.append(f"lung masks{whose}: {used} instead of {own}")
        if run.spec.net.get("init") == "random":
            out.append("encoder starts from random weights instead of ImageNet's")
        return [*out, *run.scaled]

    def shown_in(self, run: str) -> str:
        """Return where a run shows, as ``table 3, figure 5``; for a model behind others or the data, what it is for."""
        other = "lung masks" if run.startswith(f"{SUPPORT}/") else "no table"
        return ", ".join(self._places().get(run, [])) or other

    @functools.cache  # noqa: B019
    def _places(self) -> dict[str, list[str]]:
        """Return run -> the tables and figures that show it, and masks; claims, where nothing else does; where nothing
        at all, the runs that need its model.
        """
        found: dict[str, list[str]] = {}
        for paper, name, table in self.tables():
            for run in dict.fromkeys(self.table_runs(paper, table) if isinstance(table, ResultTable) else ()):
                found.setdefault(run, []).append(f"table {name}")
        for paper, name in self.figures():
            for run in dict.fromkeys(self.figure_runs(paper, name)):
                found.setdefault(run, []).append(f"figure {name}")
        for run in dict.fromkeys(self.masks()):
            found.setdefault(run, []).append("masks")
        for paper in self.claims():
            for run in self.claim_runs(paper):
                found.setdefault(run, ["claims"])
        behind: dict[str, list[str]] = {}
        for run in self.with_models():
            for other in self.models_for(run):
                behind.setdefault(other, []).append(f"for {run}")
        return behind | found

    def protocols(self, run: str) -> list[str]:
        """Return the protocols under which a run is scored: those of its tables and claims, and the standard one."""
        return list(dict.fromkeys([*self._protocols().get(run, []), STANDARD]))

    @functools.cache  # noqa: B019
    def _protocols(self) -> dict[str, list[str]]:
        """Return run -> the protocols of its tables, then of its claims."""
        found: dict[str, list[str]] = {}
        for paper, model in self.papers.items():
            for table in model.tables.values():
                if isinstance(table, ResultTable):
                    for row in table.rows:
                        if row.run:
                            found.setdefault(qualified(paper, row.run), []).append(table.protocol)
        for paper, model in self.papers.items():
            for claim in model.claims:
                for run in claim.runs:
                    found.setdefault(qualified(paper, run), []).append(claim.protocol)
        return found

    def _check_names(self) -> None:
        """Check every name that one file uses of another, so that a typo stops before the graph is built."""
        for name in self.config.only:
            self.run(name)
        for name in [*self.config.stand_ins, *self.config.stand_ins.values(), *self.config.lungs]:
            self._described(name)
        for paper_name, paper in self.papers.items():
            where = f"{WORKFLOW}/papers/{paper_name}.yaml"
            for name in paper.runs:
                self._check_start(f"{paper_name}/{name}", f"{where}: runs.{name}")
                self._check_prior(f"{paper_name}/{name}", f"{where}: runs.{name}")
            for name, deviation in paper.deviations.items():
                self._known(deviation.runs or [], paper.runs, f"{where}: deviations.{name}.runs")
            for name, table in paper.tables.items():
                at = f"{where}: tables.{name}"
                headings: dict[str, str] = table.columns if isinstance(table, DatasetTable) else table.metrics
                if isinstance(table, ResultTable):
                    self._known(table.metrics.values(), self.protocol(table.protocol).metrics, f"{at}.metrics")
                    self._check_rows(paper_name, table, at)
                else:
                    self._check_dataset_rows(table, at)
                for label, printed in [(row.label, row.printed) for row in table.rows]:
                    self._known(printed, headings, f"{at}: printed of {label!r}")
            for name, figure in paper.figures.items():
                self._check_figure(paper_name, figure, f"{where}: figures.{name}")
            self._known(paper.masks or [], paper.runs, f"{where}: masks")
            for name in paper.masks or []:
                if self.run(f"{paper_name}/{name}").spec.maps:
                    raise UserError(f"{where}: masks: {name} has no model, others released its maps; name another run")
            self._check_claims(paper_name, paper.claims, where)
        for dataset, split in self.leak_sets():
            self._check_cases(dataset, split)
        asked = [self.run(run).all_folds for run in self.runs()]
        for fold in self.config.folds if self.config.folds != "all" else []:
            if asked and not any(fold in folds for folds in asked):
                raise UserError(f"{self.source}: folds: no split that is used has a fold {fold}")

    def _check_start(self, run: str, where: str) -> None:
        """Check that the run whose model a method starts from would train the same one."""
        spec = self.run(run).spec
        if (name := self.start(run, spec)) is None:
            return
        first = self.run(name).spec
        common = {*Training.model_fields}
        a, b = (s.model_dump(exclude={"train"}) | s.train.model_dump(include=common) for s in (first, spec))
        differ = [key for key in b if a[key] != b[key]] if first.train.method == "supervised" else ["train.method"]
        if differ:
            raise UserError(
                f"{where}.train.start: {name} differs in {', '.join(differ)}; make it equal or leave it out"
            )

    def _check_prior(self, run: str, where: str) -> None:
        """Check that a run's prior can be made: one map of each slice that the run sees."""
        spec = self.run(run).spec
        if (name := self.prior(run, spec)) is None:
            return
        other, where = self.run(name).spec, f"{where}.input.prior"
        if spec.pool:
            raise UserError(f"{where}: slices of train.pool have none; use train.method: supervised")
        if (other.dataset, other.split) != (spec.dataset, spec.split):
            raise UserError(f"{where}.run: {name} has another data set or split; make them equal")
        if len(other.classes) > 1 or other.input.prior:
            raise UserError(f"{where}.run: {name} has several classes or itself a prior; name a run of one class")

    def _check_rows(self, paper: str, table: ResultTable, at: str) -> None:
        """Check the runs and classes of a table of scores, and that no two rows look the same."""
        self._known([r.run for r in table.rows if r.run and "/" not in r.run], self.papers[paper].runs, f"{at}.rows")
        ids = {row.run: qualified(paper, row.run) for row in table.rows if row.run}
        classes = {run: self.run(run_id).spec.classes for run, run_id in ids.items() if self.known(run_id)}
        every = list(dict.fromkeys(name for found in classes.values() for name in found))
        for k, row in enumerate(table.rows):
            legal = classes.get(row.run, every) if row.run else every
            if row.cls and legal:
                self._known([row.cls], legal, f"{at}.rows.{k}.class")
            if (row.label, row.cls) in [(other.label, other.cls) for other in table.rows[:k]]:
                raise UserError(f"{at}.rows.{k}.label: two rows are {row.label!r}; rename one, or give it a class")

    def _check_cases(self, dataset: str, split: str) -> None:
        """Check that a user's folder has the cases of a split; of other data sets that is known once they are there."""
        folder = self.dataset(dataset).folder
        if folder is None or self.dataset(dataset).importer != "folder" or self.made_split(split):
            return
        there = names_below(folder)
        for name in self.split(split).names:
            if name not in there:
                raise UserError(f"{self.split_path(split)}: {folder} has no case {name!r}; {nearest(name, there)}")

    def _check_claims(self, paper: str, claims: list[Claim], where: str) -> None:
        """Check the runs and metrics of claims, and that runs compared have the same test slices."""
        for k, claim in enumerate(claims):
            at = f"{where}: claims.{claim.id}"
            if claim.id in [other.id for other in claims[:k]]:
                raise UserError(f"{at}: two claims have this id; rename one")
            self._known([run for run in claim.runs if "/" not in run], self.papers[paper].runs, at)
            self._known([claim.metric], self.protocol(claim.protocol).metrics, f"{at}.metric")
            specs = [self.run(qualified(paper, run)).spec for run in claim.runs]
            if len({(spec.dataset, spec.split, *spec.classes) for spec in specs}) > 1:
                raise UserError(
                    f"{at}: {claim.runs_in_words}: their data set, split or classes differ; pairs need equal ones"
                )
            if claim.cls:
                self._known([claim.cls], specs[0].classes, f"{at}.class")

    def _check_dataset_rows(self, table: DatasetTable, at: str) -> None:
        shares = {"lung", *(key for row in table.rows for key in (row.lesion, *row.classes))}
        self._known(table.columns.values(), {"slices", "classes", *shares}, f"{at}.columns")
        for row in table.rows:
            for name in row.datasets:
                self._check_classes(name, [row.lesion, *row.classes], f"{at}: classes of {row.label!r}")

    def _check_figure(self, paper: str, figure: QualitativeFigure | ExamplesFigure, at: str) -> None:
        """Check a figure's runs and classes, and that the runs of a group have the same test slices."""
        self._known([run for run in figure.runs if "/" not in run], self.papers[paper].runs, at)
        if isinstance(figure, ExamplesFigure):
            for k, example in enumerate(figure.groups):
                self._check_classes(example.dataset, example.classes, f"{at}.groups.{k}.classes")
            return
        for k, group in enumerate(figure.groups):
            specs = [self.run(qualified(paper, run)).spec for run in group.runs.values()]
            if len({(spec.dataset, spec.split, *spec.classes) for spec in specs}) > 1:
                raise UserError(f"{at}.groups.{k}.runs: their data set, split or classes differ; make a group of each")

    def _check_classes(self, dataset: str, classes: list[str], where: str) -> None:
        known = self._described(dataset)[1]
        self._known(classes, [*known.classes, *known.unions], where)

    @staticmethod
    def _known(names: Any, legal: Any, where: str) -> None:
        for name in names:
            if name not in legal:
                raise UserError(f"{where}: unknown name {name!r}; {nearest(name, legal)}")

    def snapshot(self) -> Path:
        """Write the configuration in force beside the results, for the rules' commands; return its path.

        It is named by its content, so that another snakemake, a dry run for one, cannot change it under running jobs.
        """
        text = "# What the commands of one workflow read; edit config.yaml instead.\n"
        text += yaml.safe_dump(self.config.model_dump(mode="json"), sort_keys=False)
        path = self.paths.configs / f"{fingerprint_of(text)}.yaml"
        if not path.is_file():
            write_text(path, text)
        return path


def qualified(paper: str, run: str) -> str:
    """Return the id of a run: a bare name belongs to the paper that names it."""
    return run if "/" in run else f"{paper}/{run}"


def _stems(folder: Path, suffix: str = "yaml") -> list[str]:
    return sorted(path.stem for path in folder.glob(f"*.{suffix}"))
