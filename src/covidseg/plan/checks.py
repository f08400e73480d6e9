"""Checks that every name which one file takes from another exists, made before the job graph is built."""

from __future__ import annotations

from covidseg.base.errors import UserError, nearest
from covidseg.data import unpublished
from covidseg.data.importers import folder as own_folder
from covidseg.plan.catalogue import Catalogue
from covidseg.plan.graph import JobGraph
from covidseg.plan.names import WORKFLOW, check_known, qualified
from covidseg.plan.resolver import Resolver
from covidseg.plan.run import Run
from covidseg.plan.settings import Settings
from covidseg.plan.targets import Targets
from covidseg.schema import Comparison


class Checks:
    """The checks of a whole plan. Each raises UserError with the file and the key."""

    def __init__(
        self, settings: Settings, catalogue: Catalogue, resolver: Resolver, targets: Targets, graph: JobGraph
    ) -> None:
        self.catalogue, self.resolver, self.targets, self.graph = catalogue, resolver, targets, graph
        self._papers = catalogue.papers
        self._config, self._source = settings.config, settings.source

    def all(self) -> None:
        """Run all checks, so that a misspelt name is reported before anything is computed."""
        for name in self._config.only:
            self.resolver.named_run(name, f"{self._source}: only")
            self.resolver.run(name)
        for name in [*self._config.stand_ins, *self._config.stand_ins.values(), *self._config.lungs]:
            self.catalogue.described(name)
        for name in self._config.stand_ins:
            self.catalogue.stands_for(name)
        check_known(self._config.weights, unpublished.KNOWN, f"{self._source}: weights")
        for paper_name, paper in self._papers.items():
            where = f"{WORKFLOW}/papers/{paper_name}.yaml"
            for name in paper.runs:
                self._check_references(f"{paper_name}/{name}", f"{where}: runs.{name}")
                self._check_labels(f"{paper_name}/{name}", f"{where}: runs.{name}")
            for name, deviation in paper.deviations.items():
                check_known(deviation.runs or [], paper.runs, f"{where}: deviations.{name}.runs")
            for name, table in paper.tables.items():
                table.check(self.targets, paper_name, f"{where}: tables.{name}")
            for name, figure in paper.figures.items():
                figure.check(self.targets, paper_name, f"{where}: figures.{name}")
            for asked in paper.masks or []:
                run, of = (asked, None) if isinstance(asked, str) else (asked.run, asked.dataset)
                check_known([run], paper.runs, f"{where}: masks")
                self._check_masks(self.resolver.run(f"{paper_name}/{run}"), of, f"{where}: masks")
            self._check_claims(paper_name, paper.tested, where)
        for name in self.graph.all_datasets():
            dataset = self.catalogue.dataset(name)
            if dataset.importer == "folder" and dataset.folder is not None:
                own_folder.check_names(dataset.folder)
        for name, split in self.graph.leak_sets():
            self._check_cases(name, split)
        all_folds = [self.resolver.run(run).all_folds for run in self.targets.runs()]
        for fold in self._config.folds if self._config.folds != "all" else []:
            if all_folds and not any(fold in folds for folds in all_folds):
                there = ", ".join(map(str, sorted({number for folds in all_folds for number in folds})))
                raise UserError(
                    f"{self._source}: folds: no split that is used has a fold {fold}; name folds of {there}"
                )

    def _check_masks(self, run: Run, of: str | None, where: str) -> None:
        """Check that a run has models, and that they were not trained on scans of the data set to be predicted."""
        name = run.id.partition("/")[2]
        if run.spec.maps:
            raise UserError(
                f"{where}: {name} has no model, as its maps come from the paper's authors; name another run"
            )
        if run.spec.train.LABELS_ONLY:
            method = run.spec.train.method
            raise UserError(f"{where}: {name} only makes labels (method {method}); name a run that is trained on them")
        if of is None:
            return
        self.catalogue.check_dataset(of, f"{where}.dataset")
        theirs = self.catalogue.stands_for(of)
        learned = {file for used, _ in run.tensors for file in self.catalogue.files(used)}
        if shared := sorted(self.catalogue.files(theirs) & learned):
            raise UserError(
                f"{where}: {name} is trained on scans of {shared[0]}, which {theirs} contains; name another data set"
            )
        if run.spec.input.mode != "slice" and self.catalogue.lungs(theirs) == "none":
            remedy = f"set lungs: {{{theirs}: threshold}} in {self._source}"
            raise UserError(f"{where}: {name} takes lung masks as input, and {theirs} has none; {remedy}")

    def _check_references(self, run: str, where: str) -> None:
        """Check that the files which a run reads of other runs can be made, and that they fit."""
        own = self.resolver.run(run)
        for reference in own.references.values():
            at, name = f"{where}.{reference.path}", reference.run
            self.resolver.named_run(name, at)
            other = self.resolver.run(name)
            if circle := self.resolver.circle(run):
                raise UserError(
                    f"{at}: runs refer to one another in a circle, {' to '.join(circle)}; remove one reference"
                )
            if reference.file not in other.spec.train.WRITES:
                method = other.spec.train.method
                raise UserError(f"{at}: {name} writes no {reference.file}, its method is {method}; name another run")
            if (other.spec.dataset, other.spec.split) != (own.spec.dataset, own.spec.split):
                raise UserError(f"{at}: {name} has another data set or split; make them equal")
            if problem := reference.fits(own.spec, other.spec):
                raise UserError(f"{at}: {name} {problem}")

    def _check_labels(self, run: str, where: str) -> None:
        """Check that a run does not learn pixels from a data set that has labels of images only."""
        resolved = self.resolver.run(run)
        names = [name for name, _ in resolved.tensors if self.catalogue.dataset(name).image_labels]
        if not names or resolved.spec.train.LABELS_ONLY:
            return
        if names == [resolved.spec.dataset] and "labels" in resolved.references:
            return
        raise UserError(
            f"{where}.train: {names[0]} has labels of images only; make labels of pixels by method cam, and learn them "
            "by train.labels"
        )

    def _check_cases(self, dataset: str, split: str) -> None:
        """Check that a user's folder has the cases of a split. Other data sets can only be checked once imported."""
        folder = self.catalogue.dataset(dataset).folder
        if folder is None or self.catalogue.dataset(dataset).importer != "folder" or self.catalogue.made_split(split):
            return
        there = own_folder.names_of_cases(folder)
        for name in self.catalogue.split(split).names:
            if name not in there:
                raise UserError(
                    f"{self.catalogue.split_path(split)}: {folder} has no case {name!r}; {nearest(name, there)}"
                )

    def _check_claims(self, paper: str, claims: list[Comparison], where: str) -> None:
        """Check the runs and metrics of claims, and that the runs which are compared have the same test slices."""
        for k, claim in enumerate(claims):
            at = f"{where}: claims.{claim.id}"
            if claim.id in [other.id for other in claims[:k]]:
                raise UserError(f"{at}: two claims have this id; rename one")
            check_known([run for run in claim.runs if "/" not in run], self._papers[paper].runs, at)
            self.catalogue.check_protocol(claim.protocol, f"{at}.protocol")
            check_known([claim.metric], self.catalogue.protocol(claim.protocol).metrics, f"{at}.metric")
            specs = [self.resolver.run(qualified(paper, run)).spec for run in claim.runs]
            if len({(spec.dataset, spec.split, *spec.classes) for spec in specs}) > 1:
                raise UserError(
                    f"{at}: {claim.runs_in_words}: their data set, split or classes differ; pairs need the same ones"
                )
            if claim.cls:
                check_known([claim.cls], specs[0].classes, f"{at}.class")
