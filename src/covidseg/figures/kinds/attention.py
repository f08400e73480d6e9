"""Figures of what a network attends to: its attention maps inside the lungs, beside masks, on test slices."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from covidseg.schema.base import Count, Positive, RunId
from covidseg.schema.exhibit import Figure, Job, Reads

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from covidseg.plan import Plan
    from covidseg.plan.needs import Needs
    from covidseg.plan.targets import Targets

    U8 = npt.NDArray[np.uint8]


class AttentionFigure(Figure):
    """Slices by rows; CT, masks of runs, attention maps of one run and truth by columns."""

    kind: Literal["attention"]
    runs_: dict[str, RunId] = Field(min_length=1, alias="runs", description="Column heading -> run whose masks show.")
    of: RunId = Field(description="The run whose attention maps are shown.")
    maps: dict[str, str] = Field(min_length=1, description="Column heading -> the name of the map in the network.")
    slices: Positive = 3
    fold: Count = 0

    @property
    def runs(self) -> list[str]:
        """Return the runs of all columns."""
        return list(dict.fromkeys([*self.runs_.values(), self.of]))

    def check(self, targets: Targets, paper: str, where: str) -> None:
        """Check the runs, and that they have the same test slices. Raises UserError."""
        from covidseg.base.errors import UserError

        super().check(targets, paper, f"{where}.runs")
        specs = [targets.resolver.run(run).spec for run in self.run_ids(paper)]
        if len({(spec.dataset, spec.split, *spec.classes) for spec in specs}) > 1:
            raise UserError(f"{where}.runs: their data set, split or classes differ; make them equal")
        if any(spec.input.prior or not spec.net for spec in specs):
            raise UserError(f"{where}.of: a run with a prior or of released maps has no attention maps to show")

    def jobs(self, targets: Targets, paper: str) -> dict[str, Job]:
        """Return run id -> training; where the figure's fold is not made, the first one that is."""
        found = {}
        for run_id in self.run_ids(paper):
            run = targets.resolver.run(run_id)
            found[run_id] = (run_id, self.fold if self.fold in run.folds else run.folds[0], run.seeds[0])
        return found

    def reads(self, targets: Targets, paper: str) -> Reads:
        """Return the predictions, and the model whose maps are shown."""
        from covidseg.plan.names import qualified

        jobs = self.jobs(targets, paper)
        images = tuple({targets.resolver.run(run).spec.dataset for run in jobs})
        return Reads(predictions=tuple(jobs.values()), models=(jobs[qualified(paper, self.of)],), lungs=images)

    def needs(self, plan: Plan, paper: str) -> Needs:
        """Return what predicting a slice takes."""
        from covidseg.plan.names import qualified
        from covidseg.plan.needs import Needs, training_memory

        memory = training_memory(plan.run(qualified(paper, self.of)).spec)
        return Needs(memory_mb=memory, minutes=20, gpus=0, threads=1)

    def words(self, plan: Plan, paper: str, name: str) -> list[str]:
        """Return data, which slices and maps are shown, mode, preset, and what differs from the paper."""
        from covidseg.figures.qualitative import RULE
        from covidseg.tables.caption import differences

        run, fold, seed = next(iter(self.jobs(plan.targets, paper).values()))
        spec = plan.run(run).spec
        return [
            f"Data: {spec.dataset}, split {spec.split}, fold {fold}, seed {seed}",
            f"Slices: {RULE}",
            f"Maps: attention of {self.of} from 0 (dark) to 1 (bright), shown inside the lungs only; lung masks "
            f"{plan.catalogue.lungs_in_words(spec.dataset)}",
            "The number below a map is its mean inside the lungs",
            f"Mode {plan.config.mode}, preset {plan.preset_name}",
            *differences(plan, [plan.run(run) for run in self.run_ids(paper)]),
        ]

    def draw(self, plan: Plan, paper: str) -> Any:
        """Return the drawing. Raises NothingToShowError where no test slice shows a lesion."""
        from dataclasses import replace

        from covidseg.evaluate.predictions import test_slices
        from covidseg.figures import page, qualitative
        from covidseg.plan.names import qualified

        jobs = self.jobs(plan.targets, paper)
        shown = {heading: jobs[qualified(paper, run)] for heading, run in self.runs_.items()}
        runs = {heading: (plan.run(run), fold, seed) for heading, (run, fold, seed) in shown.items()}
        scored = {heading: qualitative.scored(test_slices(plan, *job)) for heading, job in runs.items()}
        chosen = qualitative.choose(scored, self.slices)
        if not chosen:
            raise page.NothingToShowError(f"{self.of}: no test slice shows a lesion")
        masks = {heading: qualitative.by_slice(test_slices(plan, *job), chosen) for heading, job in runs.items()}
        maps = _maps(plan, jobs[qualified(paper, self.of)], chosen, list(self.maps.values()))
        first = next(iter(runs.values()))[0]
        rows = []
        for name in chosen:
            row = qualitative.row_of(name, qualitative.ct(plan, first, name), {h: m[name] for h, m in masks.items()})
            heat = {h: page.Panel((), f"mean {maps[name][m][1]:.2f}", maps[name][m][0]) for h, m in self.maps.items()}
            truth = {page.TRUTH: row.panels.pop(page.TRUTH)} if page.TRUTH in row.panels else {}
            rows.append(replace(row, panels={**row.panels, **heat, **truth}))
        return page.draw(rows, False, page.note(plan))


def _maps(plan: Plan, job: Job, chosen: list[str], names: list[str]) -> dict[str, dict[str, tuple[U8, float]]]:
    """Return slice -> map -> the map inside the lungs, 255 times, in the slice's window, and its mean there.

    Raises UserError when the network has no map of a name.
    """
    from contextlib import ExitStack

    import numpy as np
    import torch

    from covidseg.base.errors import UserError, nearest
    from covidseg.data.canonical import Store
    from covidseg.data.tensors import Window, fit, lung_of, read_rows, resize
    from covidseg.train.loader import compose
    from covidseg.train.predict import load_model
    from covidseg.upkeep.freshness import usable_model

    run_id, fold, seed = job
    run = plan.run(run_id)
    spec = run.spec
    model = load_model(usable_model(plan, run, fold, seed).parent, spec).eval()
    table = read_rows(plan.paths.tensors(spec.dataset, spec.input.size))
    lines = {line["slice"]: line for line in table if line["slice"] in chosen}
    canonical = plan.paths.canonical(spec.dataset)
    found: dict[str, dict[str, tuple[U8, float]]] = {}
    with ExitStack() as stack:
        images = stack.enter_context(Store(canonical))
        has_lungs = plan.catalogue.lungs(spec.dataset) != "none"
        lungs = stack.enter_context(Store(canonical / "lungs.h5")) if has_lungs else None
        for name in chosen:
            line = lines[name]
            window = Window(line["top"], line["left"], line["height"], line["width"])
            image, lung = images.image(line["case"]), lung_of(lungs, line["case"])
            parts = (fit(part, line["position"], window, spec.input.size, key) for part, key in
                     ((image, "image"), (lung, "lung")))  # fmt: skip
            x, mask = (torch.from_numpy(part[None].copy()) for part in parts)
            with torch.inference_mode():
                attention = model(compose(x, mask, spec.input.mode)).get("attention", {})
            inside = np.ones((window.height, window.width), bool)
            if lung is not None:
                inside = window.cut(lung[line["position"]]) > 0
            found[name] = {}
            for key in names:
                if key not in attention:
                    raise UserError(f"{run_id}: no attention map {key!r}; {nearest(key, list(attention))}")
                small = (attention[key][0, 0] * 255).round().to(torch.uint8).numpy()
                grown = resize(small, inside.shape)
                mean = float(grown[inside].mean()) / 255 if inside.any() else 0.0
                found[name][key] = (np.where(inside, grown, 0).astype(np.uint8), mean)
    return found
