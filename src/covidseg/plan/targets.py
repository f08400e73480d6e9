"""The tables, figures, claims and masks that the configuration asks for, and the runs that each shows."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator

from covidseg.plan.catalogue import Catalogue
from covidseg.plan.names import STANDARD, masks_id, qualified
from covidseg.plan.resolver import Resolver
from covidseg.plan.run import Run
from covidseg.plan.settings import Settings
from covidseg.schema import Comparison, Exhibit, Figure, Table


class Targets:
    """What the configuration asks for, within ``only`` and the mode."""

    def __init__(self, settings: Settings, catalogue: Catalogue, resolver: Resolver) -> None:
        self.catalogue, self.resolver = catalogue, resolver
        self._papers, self._config = catalogue.papers, settings.config

    def tables(self) -> Iterator[tuple[str, str, Table]]:
        """Yield (paper, table name, table) of every table with at least one row that can be made."""
        for paper in self._config.papers:
            for name, table in self._papers[paper].tables.items():
                if table.ready(self, paper):
                    yield paper, name, table

    def figures(self) -> Iterator[tuple[str, str, Figure]]:
        """Yield (paper, figure name, figure) of every figure whose runs and data sets are all asked for."""
        for paper in self._config.papers:
            for name, figure in self._papers[paper].figures.items():
                if figure.ready(self, paper):
                    yield paper, name, figure

    def exhibits(self) -> Iterator[tuple[str, str, Exhibit]]:
        """Yield (paper, title, what it is) of every table and figure to make; titles are as ``table 3``."""
        yield from ((paper, f"table {name}", table) for paper, name, table in self.tables())
        yield from ((paper, f"figure {name}", figure) for paper, name, figure in self.figures())

    def used_datasets(self, datasets: Iterable[str]) -> list[str]:
        """Return the stand-ins of data sets, each once; with ``only``, those that the chosen runs use."""
        names = dict.fromkeys(map(self.catalogue.stands_for, datasets))
        if not self._config.only:
            return list(names)
        used = {self.resolver.run(run).spec.dataset for run in self._config.only}
        return [name for name in names if name in used]

    def claims(self) -> Iterator[str]:
        """Yield the papers with at least one claim that can be tested."""
        yield from (paper for paper in self._config.papers if self.claim_runs(paper))

    def claim_runs(self, paper: str) -> list[str]:
        """Return the ids of the runs that a paper's testable claims compare."""
        claims = [claim for claim in self._papers[paper].tested if self.testable(paper, claim)]
        return list(dict.fromkeys(qualified(paper, run) for claim in claims for run in claim.runs))

    def testable(self, paper: str, claim: Comparison) -> bool:
        """Return whether all runs of a claim are asked for."""
        return all(self.resolver.wanted(qualified(paper, run)) for run in claim.runs)

    def paper_masks(self, paper: str) -> list[str]:
        """Return the masks of whole scans that a paper wants, within ``only``: run ids, or ``run@dataset``."""
        model = self._papers[paper]
        own = [name for name in model.runs if model.dataset and self._segments(qualified(paper, name))]
        asked = model.masks if model.masks is not None else own
        pairs = ((one, None) if isinstance(one, str) else (one.run, one.dataset) for one in asked)
        wanted = ((qualified(paper, run), of) for run, of in pairs if self.resolver.wanted(qualified(paper, run)))
        return list(dict.fromkeys(masks_id(run, of and self.catalogue.stands_for(of)) for run, of in wanted))

    def _segments(self, run: str) -> bool:
        """Return whether a run has a model that makes masks."""
        return not self.resolver.run(run).spec.train.LABELS_ONLY

    def masks(self) -> list[str]:
        """Return all masks of whole scans that are wanted: run ids, or ``run@dataset``."""
        return [masks for paper in self._config.papers for masks in self.paper_masks(paper)]

    def masks_of(self, masks: str) -> tuple[Run, str]:
        """Return the run that makes masks, and the data set whose scans they are."""
        run, _, dataset = masks.partition("@")
        resolved = self.resolver.run(run)
        return resolved, dataset or resolved.spec.dataset

    def runs(self) -> list[str]:
        """Return the ids of all runs that tables, figures, claims, masks and ``only`` ask for, each once."""
        found: dict[str, None] = dict.fromkeys(filter(self.resolver.wanted, self._config.only))
        for paper, _, exhibit in self.exhibits():
            found.update(dict.fromkeys(exhibit.wanted_runs(self, paper)))
        for paper in self.claims():
            found.update(dict.fromkeys(self.claim_runs(paper)))
        found.update(dict.fromkeys(self.masks_of(masks)[0].id for masks in self.masks()))
        return list(found)

    def protocols(self, run: str) -> list[str]:
        """Return the protocols under which a run is scored: those of tables, figures and claims, and the standard."""
        return list(dict.fromkeys([*self._protocols().get(run, []), STANDARD]))

    @functools.cache  # noqa: B019
    def _protocols(self) -> dict[str, list[str]]:
        """Return run -> the protocols of its tables and figures, then of its claims."""
        found: dict[str, list[str]] = {}
        for paper, model in self._papers.items():
            for exhibit in (*model.tables.values(), *model.figures.values()):
                for run, protocols in exhibit.protocols.items():
                    found.setdefault(qualified(paper, run), []).extend(protocols)
        for paper, model in self._papers.items():
            for claim in model.tested:
                for run in claim.runs:
                    found.setdefault(qualified(paper, run), []).append(claim.protocol)
        return found
