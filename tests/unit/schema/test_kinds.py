"""A kind of table or figure is one file: with it, and nothing else, it is planned, checked, made and captioned."""

import subprocess
import sys
from pathlib import Path

import pytest

from covidseg.schema.exhibit import Figure, Reads, kinds
from tests.conftest import copy_project

FIGURE = '''
from typing import Literal

from covidseg.schema.base import RunId
from covidseg.schema.exhibit import Figure, Reads


class Dots(Figure):
    """A dot for a run."""

    kind: Literal["dots"]
    of: RunId

    @property
    def runs(self):
        return [self.of]

    @property
    def protocols(self):
        return {self.of: ["infnet_toolbox"]}

    def reads(self, plan, paper):
        return Reads(scores=tuple(self.run_ids(paper)), histories=(("ssanet/m1", 0, 0),))

    def needs(self, plan, paper):
        from covidseg.plan.needs import Needs

        return Needs(memory_mb=4321, minutes=20, gpus=0, threads=2)

    def words(self, plan, paper, name):
        return [f"Figure {name}: a dot for {self.of}"]

    def draw(self, plan, paper):
        from matplotlib.figure import Figure as Drawing

        drawing = Drawing()
        drawing.add_subplot().plot([1], [1], "o")
        return drawing
'''
TABLE = '''
from typing import Literal

from covidseg.schema.exhibit import Table
from covidseg.schema.base import Name


class Sizes(Table):
    """How many slices data sets keep."""

    kind: Literal["sizes"]
    of: list[Name]

    @property
    def datasets(self):
        return self.of

    def words(self, plan, paper, name):
        return ["Sizes in pixels"]

    def cells(self, plan, paper):
        from covidseg.tables.cell import Cell

        return [
            Cell(row=name, run="", cls="", protocol="", column="size", metric="size", printed=None, ours=128.0, sd=None,
                 difference=None, verdict="", why="", folds=0, seeds=0, slices=0, digits=0)
            for name in self.of
        ]
'''
PAPER = """
figures:
  "x": {kind: dots, caption: Dots, of: m1}
tables:
  "y": {kind: sizes, caption: Sizes, of: [covid-ct-seg]}
"""
ASK = """
from pathlib import Path

from covidseg import steps
from covidseg.figures import caption_of
from covidseg.plan import Plan
from covidseg.tables.trace import trace

plan = Plan.load(Path("config.yaml"))
for paper, title, shown in plan.targets.exhibits():
    print(title, *shown.reads(plan.targets, paper).files(plan.paths), *shown.modules(plan, paper))
    print(shown.needs(plan, paper).memory_mb, plan.targets.protocols("mine/m1"))
print(caption_of(plan, "mine", "x"))
steps.figure(plan, "mine", "x")
steps.table(plan, "mine", "y")
print(trace(plan, "mine", "y", "covid-ct-seg", "size"))
"""


def test_a_file_makes_a_kind(tmp_path: Path) -> None:
    project = copy_project(tmp_path)
    (tmp_path / "src/covidseg/figures/kinds/dots.py").write_text(FIGURE)
    (tmp_path / "src/covidseg/tables/kinds/sizes.py").write_text(TABLE)
    head = (tmp_path / "workflow/papers/ssanet.yaml").read_text().split("\ntables:")[0]
    (tmp_path / "workflow/papers/mine.yaml").write_text(head + PAPER)
    (tmp_path / "config.yaml").write_text("{papers: [mine], only: [mine/m1], folds: [0]}")
    assert project.run(sys.executable, "-c", ASK).splitlines() == [
        "table y tables.kinds.sizes",
        "1000 ['infnet_toolbox', 'standard']",
        "figure x results/demo/runs/ssanet/m1/fold0-seed0/history.csv results/demo/runs/mine/m1/cases.csv "
        "figures.kinds.dots",
        "4321 ['infnet_toolbox', 'standard']",
        "Dots. Figure x: a dot for m1.",
        "Table y of mine, covid-ct-seg, size: ours 128.0",
    ]
    assert (tmp_path / "results/demo/figures/mine/x.png").stat().st_size > 1000
    assert "| covid-ct-seg | 128 |" in (tmp_path / "results/demo/tables/mine/y.md").read_text()
    wrong = PAPER.replace("dots", "dot")
    (tmp_path / "workflow/papers/mine.yaml").write_text(head + wrong)
    assert "figures.x.kind: unknown value 'dot'; did you mean 'dots'?" in project.refused("show")[0]
    (tmp_path / "workflow/papers/mine.yaml").write_text(head + PAPER.replace("of: m1", "of: m11"))
    assert "figures.x: unknown name 'm11'; did you mean 'm1'?" in project.refused("show")[0]


def test_a_module_without_its_kind_is_a_mistake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "kindless").mkdir()
    (tmp_path / "kindless" / "__init__.py").touch()
    (tmp_path / "kindless" / "square.py").write_text(FIGURE)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ValueError, match=r"square.py: needs one Figure with kind: Literal\['square'\]"):
        kinds("kindless", Figure)


def test_planning_imports_no_library_of_the_kinds() -> None:
    heavy = "{'torch', 'pandas', 'matplotlib', 'scipy', 'h5py'}"
    plan = "from covidseg.plan import Plan; list(Plan.load({}).targets.exhibits())"
    code = f"import sys; {plan}; print({heavy} & set(sys.modules))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "set()\n"


def test_what_is_read_is_named_once() -> None:
    from covidseg.base.paths import Paths

    job = ("p/a", 0, 1)
    reads = Reads(records=(job,), scores=("p/a",)) + Reads(models=(job,), lungs=("d",), images=("d",))
    assert [str(path) for path in reads.files(Paths(Path("d"), Path("r")))] == [
        "r/runs/p/a/fold0-seed1/model.safetensors",
        "r/runs/p/a/fold0-seed1/run.json",
        "r/runs/p/a/cases.csv",
        "d/canonical/d/import.json",
        "d/canonical/d/lungs.json",
    ]
