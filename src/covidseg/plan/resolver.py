"""Resolved runs: a paper's defaults (described or released), overridden by the run, then by mode and preset."""

from __future__ import annotations

import copy
import functools
from typing import Any

from covidseg import losses, lungs, nets
from covidseg.base.errors import UserError, nearest
from covidseg.data import splits
from covidseg.data.importers import of_own
from covidseg.nets import published
from covidseg.plan.catalogue import Catalogue
from covidseg.plan.names import SUPPORT, WORKFLOW, check_known, stems
from covidseg.plan.needs import training_memory
from covidseg.plan.resolve import described_or_released, merge, scale, scale_maps
from covidseg.plan.run import Run
from covidseg.plan.settings import Settings
from covidseg.schema import Preset, RunSpec, Training, parse

MOST_MEMORY = 4 << 20  # MiB of one training; no machine has more
LEARNING = ("epochs", "most_epochs", "slices_per_epoch", "validate_every", "lr", "lr_most", "step")
TESTED = ("dataset", "split", "classes", "input")  # the settings that say what is tested, and on which grid


class Resolver:
    """The runs of the catalogue's papers as they will be made, and the references between them."""

    def __init__(self, settings: Settings, catalogue: Catalogue) -> None:
        self.catalogue = catalogue
        self._config, self._source, self._settings = settings.config, settings.source, settings
        self._only = frozenset(self._config.only)

    @functools.cache  # noqa: B019 - a plan lives as long as the process
    def run(self, run: str) -> Run:
        """Resolve one run: the paper's defaults, described or released, the row's own settings, then mode and preset.

        Raises UserError naming the file and key.
        """
        paper_name, name = self.named_run(run)
        paper = self.catalogue.papers[paper_name]
        where = f"{WORKFLOW}/papers/{paper_name}.yaml: runs.{name}"
        own = copy.deepcopy(paper.runs[name] or {})
        follow = own.pop("follow", "described")
        raw, released = described_or_released(paper, follow, where, name)
        raw = self._own(paper_name) | raw
        if own.get("train", {}).get("method") == "released":  # of a training only what is tested remains
            raw, released = {key: raw[key] for key in TESTED if key in raw} | {"net": {}, "losses": {}}, []
        return self._resolve(run, merge(raw, own), released, where)

    def named_run(self, run: str, where: str = "") -> tuple[str, str]:
        """Return the paper and the name of a run. Raises UserError for an unknown one, used at ``where``."""
        paper, _, name = run.partition("/")
        at = f"{where}: unknown run {run!r}" if where else f"unknown run {run!r}"
        if not name:
            raise UserError(f"{at}; name its paper too, as ssanet/m4")
        if paper not in self.catalogue.papers:
            there = stems(WORKFLOW / "papers")
            raise UserError(f"{at}; {f'add {paper} to papers:' if paper in there else nearest(paper, there)}")
        if name not in self.catalogue.papers[paper].runs:
            raise UserError(f"{at}; {nearest(name, self.catalogue.papers[paper].runs)}")
        return paper, name

    def _own(self, paper: str) -> dict[str, Any]:
        """Return the data set, split and classes of the runs of a paper file that describes its own scans."""
        scans = self.catalogue.papers[paper].dataset
        if scans is None:
            return {}
        known = self.catalogue.dataset(paper)
        classes = list(known.unions or known.classes)
        return {"dataset": paper, "split": of_own(scans).default_split(scans), "classes": classes}

    def _resolve(self, run: str, raw: dict[str, Any], released: list[str], where: str) -> Run:
        if isinstance(given := raw.get("losses"), dict):
            raw["losses"] = {name: options or {} for name, options in given.items() if options is not False}
        spec = parse(RunSpec, raw, where)
        if spec.maps:
            self._check_maps(spec, where)
        else:
            nets.check(spec.net, where)
            losses.check(spec.losses, where, len(spec.classes), spec.train.leaves_unlabelled)
            _check_outputs(spec, where)
        if spec.train.ONE_CLASS and len(spec.classes) > 1:
            raise UserError(
                f"{where}.train.method: {spec.train.method} works on one class (found {len(spec.classes)}); join them"
            )
        restart = spec.train.optimizer.restart
        if restart and restart.epoch >= spec.train.epochs:
            at = f"{where}.train.optimizer.restart.epoch"
            raise UserError(f"{at}: must be below train.epochs, {spec.train.epochs} (found {restart.epoch})")
        asked = [spec.dataset, *([spec.pool.dataset] if spec.pool else [])]
        for key, name in zip(("dataset", "train.pool.dataset"), asked, strict=False):
            self.catalogue.check_dataset(name, f"{where}.{key}")
        dataset = self.catalogue.stands_for(spec.dataset)
        split_name = self.catalogue.split_for(spec.dataset, spec.split)
        if splits.is_rule(split_name):
            split_name = f"{dataset}-{split_name}"
        self.catalogue.split_path(split_name, f"{where}.split")
        preset = self._preset(run.partition("/")[0])
        spec = self._with_init(spec, preset, where)
        described = spec.net
        paper_saliency = getattr(spec.train, "saliency", None)
        spec = spec_as_written = self._with_saliency(spec)
        scaled, changes = scale_maps(spec, preset) if spec.maps else scale(spec, preset)
        spec = scaled.model_copy(
            update={
                "dataset": dataset,
                "split": split_name,
                "train": self._with_pool(scaled),
                "lungs": self.catalogue.lungs(dataset),
                "threads": preset.threads,
                "precision": preset.precision if spec.precision == "auto" else spec.precision,
                "values": self.catalogue.class_values(dataset, spec.classes, f"{where}.classes"),
            }
        )
        if spec.input.mode != "slice" and lungs.source(spec.lungs)["run"] == run:
            raise UserError(f"{where}: the lung network cannot take lung masks as input; use input.mode: slice")
        if (needed := training_memory(spec)) > MOST_MEMORY:
            raise UserError(f"{where}: would need {needed >> 20} TiB; lower net.width, input.size or train.batch")
        folds, seeds = self.catalogue.split_folds(split_name), self._config.seeds
        if run.startswith(f"{SUPPORT}/"):  # a model to use, not to compare: trained once
            folds = folds[:1]
        if run.startswith(f"{SUPPORT}/") or spec.maps:
            seeds = seeds[:1]
        wanted = folds[: preset.folds] if self._config.folds == "all" else [f for f in self._config.folds if f in folds]
        if not wanted and len(folds) > 1:
            raise UserError(f"{self._source}: folds: split {split_name!r} has folds {', '.join(map(str, folds))} only")
        return Run(
            id=run,
            spec=spec,
            folds=tuple(wanted or folds),
            all_folds=tuple(folds),
            seeds=tuple(seeds),
            scaled=tuple(changes),
            stand_ins=tuple((name, used) for name in asked if (used := self.catalogue.stands_for(name)) != name),
            released=tuple(released),
            net=described,
            saliency=paper_saliency,
            written_epochs=spec_as_written.train.most_epochs,
            stage_jobs=preset.stage_jobs,
        )

    @functools.cache  # noqa: B019 - a plan lives as long as the process
    def _preset(self, paper: str) -> Preset:
        """Return the preset in force with what a paper says of it. Raises UserError for an unknown setting.

        A paper of a user's own scans is not a paper to be scaled down: how long and how fast it learns stays as the
        user wrote it, unless the same file says otherwise for this preset.
        """
        name, preset = self._settings.preset_name, self._settings.preset
        file = self.catalogue.papers[paper]
        own, left_out = file.presets.get(name, {}), LEARNING if file.dataset else ()
        where = f"{WORKFLOW}/papers/{paper}.yaml: presets.{name}"
        if own or left_out:
            preset = parse(Preset, preset.model_dump(exclude_unset=True, exclude=set(left_out)) | own, where)
        for net in preset.widths:
            if net not in nets.names():
                at = where if "widths" in own else f"{WORKFLOW}/presets/{name}.yaml"
                raise UserError(f"{at}: widths: unknown network {net!r}; {nearest(net, nets.names())}")
        return preset

    def _with_init(self, spec: RunSpec, preset: Preset, where: str) -> RunSpec:
        """Return the spec with ``init: random`` where published weights cannot be used for its encoder.

        That is so in demo mode, which downloads nothing, at another width, and where the configuration says so.
        """
        if published.encoder_of(spec.net) is None:
            return spec
        wide = spec.net.get("width", 1.0) * (preset.width_of(spec.net["name"]) or 1.0)
        if self._config.mode == "demo" or self._config.init == "random" or wide != 1:
            return spec.model_copy(update={"net": spec.net | {"init": "random"}})
        if spec.input.channels != 1:
            raise UserError(
                f"{where}.net.init: ImageNet weights need one channel; set input.mode: slice or masked, or init: random"
            )
        return spec

    def _with_saliency(self, spec: RunSpec) -> RunSpec:
        """Return the spec with the configured source of saliency; demo mode uses lungs, as it downloads no weights."""
        source = getattr(spec.train, "saliency", None)
        used = self._config.saliency or ("lungs" if self._config.mode == "demo" else source)
        if source is None or used == source:
            return spec
        return spec.model_copy(update={"train": spec.train.model_copy(update={"saliency": used})})

    def _check_maps(self, spec: RunSpec, where: str) -> None:
        """Check a run whose predictions are maps that a paper's authors published. Raises UserError."""
        train: Any = spec.train
        for key in ("net", "losses"):
            if getattr(spec, key):
                raise UserError(f"{where}.{key}: method released trains nothing; remove it")
        described = self.catalogue.described(train.maps, f"{where}.train.maps")[1]
        folders = [source.name for source in described.sources]
        check_known(train.folders, spec.classes, f"{where}.train.folders")
        check_known(train.folders.values(), folders, f"{where}.train.folders")
        if missing := [name for name in spec.classes if name not in train.folders]:
            raise UserError(f"{where}.train.folders: {missing[0]}: missing; name the folder of its maps")

    def _with_pool(self, spec: RunSpec) -> Training:
        """Return the settings of the training, with the stand-in of its pool where there is one."""
        if spec.pool is None:
            return spec.train
        used = self.catalogue.stands_for(spec.pool.dataset)
        self.catalogue.described(used)
        return spec.train.model_copy(update={"pool": spec.pool.model_copy(update={"dataset": used})})

    def referenced(self, run: str) -> list[str]:
        """Return the ids of the runs that a run refers to, of which it reads a file of the same fold and seed."""
        return [reference.run for reference in self.run(run).references.values()]

    def circle(self, run: str) -> list[str]:
        """Return a circle of references from a run back to itself, as a list of ids; empty where there is none."""
        ways = [[run]]
        seen = set()
        while ways:
            way = ways.pop()
            for other in self.referenced(way[-1]):
                if other == run:
                    return [*way, run]
                if other not in seen:
                    seen.add(other)
                    ways.append([*way, other])
        return []

    def wanted(self, run: str) -> bool:
        """Return whether ``only`` includes a run and it can be made; authors' maps do not exist for phantoms."""
        if self._config.mode == "demo" and self.run(run).spec.maps:
            return False
        return not self._only or run in self._only

    def known(self, run: str) -> bool:
        """Return whether a run belongs to a paper that was read."""
        return run.partition("/")[0] in self.catalogue.papers

    def length(self, run: Run) -> str:
        """Return how long a run really trains and what the preset changed, in words."""
        changed = f"preset {self._settings.preset_name} changes {', '.join(run.scaled)}" if run.scaled else ""
        return "; ".join(filter(None, [run.epochs_in_words or "nothing is trained", changed]))

    def caveats(self, run: Run) -> list[str]:
        """Return the reasons why a run's numbers cannot be compared with the printed ones; empty when they can."""
        out = []
        if self._config.mode == "demo":
            out.append("phantom CT, not patients")
        out += [f"{used} stands in for {name}" for name, used in run.stand_ins]
        if run.folds != run.all_folds:
            names = ", ".join(map(str, run.folds))
            out.append(f"{len(run.folds)} of {len(run.all_folds)} folds ({names})")
        for name in self.catalogue.masked_by(run.spec.dataset):
            used, own = self.catalogue.lungs(name), self.catalogue.dataset(name).lungs
            seen = run.spec.input.mode != "slice" or () in run.spec.values.values()
            if used != own and (seen or self.catalogue.dataset(run.spec.dataset).crop):  # crops go round the lungs
                whose = "" if name == run.spec.dataset else f" of {name}"
                out.append(f"lung masks{whose}: {used} instead of {own}")
        if run.spec.net.get("init") == "random":
            out.append("encoder starts from random weights instead of ImageNet's")
        if (saliency := getattr(run.spec.train, "saliency", None)) != run.saliency:
            out.append(f"saliency: {saliency} instead of {run.saliency}")
        return [*out, *run.scaled]


def _check_outputs(spec: RunSpec, where: str) -> None:
    """Check that the network has the outputs that the losses read. Raises UserError."""
    net, there = spec.net["name"], nets.outputs(spec.net)
    for loss in spec.losses:
        for output in losses.reads(loss):
            at = f"{where}.losses.{loss}: reads the output {output!r}"
            if output not in there:
                able = ", ".join(name for name in nets.names() if output in nets.planning(name).get("outputs", {}))
                raise UserError(f"{at}, which network {net} does not have (legal: {able}); switch the loss off")
            if there[output]:
                needed = ", ".join(f"net.{key}: {str(value).lower()}" for key, value in there[output].items())
                raise UserError(f"{at}, which network {net} has with {needed} only; set it or switch the loss off")
