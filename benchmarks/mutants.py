"""A mutation check: small bugs planted one at a time in a module, and whether its tests notice.

    python benchmarks/mutants.py src/covidseg/plan/catalogue.py     # one module or several
    python benchmarks/mutants.py --group metrics                    # the modules of a group, as below

Each mutant changes one place of the syntax tree: a comparison, an arithmetic operator, a constant, a condition, a
return or a statement, drawn with a fixed seed, 12 a module. A module's tests are those of ``tests/unit`` that import it
or its package; a test that alone takes more than ``--slow`` seconds is left out. They run in a copy of the project, one
process after the other, stop at the first failure and are ended after ``--seconds``, which counts as caught. The
libraries are imported once: each run is a fork of a process that has them.

Results are kept in ``--out``, a JSON line a mutant as soon as it is known, so that an interrupted check goes on with
the next mutant; the table at the end is over all lines of that file. ``--show`` prints changes that were not caught.
"""

from __future__ import annotations

import argparse
import ast
import compileall
import copy
import difflib
import hashlib
import importlib
import json
import os
import py_compile
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
MUTANTS = 12
SWAPS: dict[type[ast.AST], type[ast.AST]] = {
    ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt,
    ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Add, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult, ast.Pow: ast.Mult, ast.BitOr: ast.BitAnd, ast.BitAnd: ast.BitOr,
    ast.And: ast.Or, ast.Or: ast.And,
}  # fmt: skip
PACKAGE = Path("src/covidseg")
GROUPS = {
    "metrics": ["metrics", "metrics/measures"],
    "losses": ["losses"],
    "data": ["data", "data/importers", "data/phantom"],
    "train": ["train", "train/methods"],
    "plan": ["plan", "schema/references.py"],
    "freshness": ["upkeep/freshness.py", "upkeep/content.py", "upkeep/prepare.py", "jobs/record.py", "base/records.py"],
    "masks": ["inference/masks.py", "inference/done.py", "base/own.py"],
    "leaks": ["leaks"],
    "claims": ["claims"],
}
LIBRARIES = ("h5py", "hypothesis", "matplotlib", "nibabel", "numpy", "pandas", "PIL.Image", "pydantic", "pytest",
             "scipy.ndimage", "torch", "typer", "yaml")  # fmt: skip


def kinds(node: ast.AST) -> list[str]:
    """Return the kinds of mutants that a node allows; none for what only a type checker reads."""
    found: list[str] = []
    if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
        return found
    if isinstance(node, ast.Compare) and type(node.ops[0]) in SWAPS:
        found.append("comparison")
    if isinstance(node, ast.BinOp | ast.BoolOp) and type(node.op) in SWAPS:
        found.append("arithmetic")
    if isinstance(node, ast.Constant) and isinstance(node.value, bool | int | float):
        found.append("constant")
    if isinstance(node, ast.If | ast.IfExp | ast.While) or (isinstance(node, ast.comprehension) and node.ifs):
        found.append("condition")
    if isinstance(node, ast.Return) and node.value is not None and not is_none(node.value):
        found.append("return")
    if isinstance(node, ast.FunctionDef) and any(droppable(line) for line in node.body):
        found.append("statement")
    return found


def annotations(tree: ast.AST) -> Iterator[ast.AST]:
    """Yield the unions of types below annotations, such as ``int | None``, which nothing computes."""
    for node in ast.walk(tree):
        for field in ("annotation", "returns"):
            if isinstance(top := getattr(node, field, None), ast.AST):
                yield from (below for below in ast.walk(top) if isinstance(below, ast.BinOp))


def is_none(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def droppable(line: ast.stmt) -> bool:
    """Return whether a statement can go: a call or an assignment of an attribute, item or in place, no docstring."""
    if isinstance(line, ast.Expr):
        return isinstance(line.value, ast.Call)
    return isinstance(line, ast.AugAssign) or (
        isinstance(line, ast.Assign) and isinstance(line.targets[0], ast.Attribute | ast.Subscript)
    )


def apply(kind: str, node: ast.AST) -> None:
    """Change a node in place."""
    match node:
        case ast.Compare() if kind == "comparison":
            node.ops[0] = SWAPS[type(node.ops[0])]()  # type: ignore[assignment]
        case ast.BinOp() | ast.BoolOp():
            node.op = SWAPS[type(node.op)]()  # type: ignore[assignment]
        case ast.Constant():
            node.value = not node.value if isinstance(node.value, bool) else node.value + 1  # type: ignore[operator]
        case ast.If() | ast.IfExp() | ast.While():
            node.test = ast.UnaryOp(ast.Not(), node.test)
        case ast.comprehension():
            node.ifs[0] = ast.UnaryOp(ast.Not(), node.ifs[0])
        case ast.Return():
            node.value = ast.Constant(None)
        case ast.FunctionDef():
            at = next(k for k, line in enumerate(node.body) if droppable(line))
            node.body[at] = ast.Pass()


def drawn(file: Path, most: int) -> list[tuple[str, int, str]]:
    """Return (kind, line, text of the changed module) of a module's mutants, drawn with a seed of its name."""
    text = file.read_text("utf-8")
    tree = ast.parse(text)
    types = {id(node) for node in annotations(tree)}
    nodes = [(k, kind) for k, node in enumerate(ast.walk(tree)) if id(node) not in types for kind in kinds(node)]
    random.Random(hashlib.sha256(file.name.encode()).hexdigest()).shuffle(nodes)
    by_kind: dict[str, list[int]] = {}
    for number, kind in nodes:
        by_kind.setdefault(kind, []).append(number)
    chosen: list[tuple[str, int]] = []
    while len(chosen) < most and any(by_kind.values()):  # kinds take turns
        chosen += [(kind, numbers.pop()) for kind, numbers in by_kind.items() if numbers]
    found = []
    for kind, number in chosen[:most]:
        changed = copy.deepcopy(tree)
        node = next(node for k, node in enumerate(ast.walk(changed)) if k == number)
        line = getattr(node, "lineno", getattr(getattr(node, "target", None), "lineno", 0))
        apply(kind, node)
        found.append((kind, line, ast.unparse(ast.fix_missing_locations(changed))))
    return found


def tests_of(file: Path) -> list[str]:
    """Return the files of tests that import a module or its package, those of its own name first.

    A folder of files that are loaded by name, as ``metrics/measures``, is tested through the package above it.
    """
    name = ".".join(file.relative_to("src").with_suffix("").parts).removesuffix(".__init__")
    package = name.rpartition(".")[0]
    wanted = {name, package, package.rpartition(".")[0]} - {"covidseg", ""}
    found = {path: imported(path) for path in (ROOT / "tests" / "unit").rglob("test_*.py")}
    chosen = [path for path, names in found.items() if names & wanted]
    chosen.sort(key=lambda path: (file.stem not in path.stem, name not in found[path], path))
    return [str(path.relative_to(ROOT)) for path in chosen]


def imported(path: Path) -> set[str]:
    """Return the modules that a file imports, and the names that it takes of them."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found


class Durations:
    """A pytest plugin that writes how long each test took."""

    def __init__(self, path: Path) -> None:
        self.path, self.seconds = path, dict[str, float]()

    def pytest_runtest_logreport(self, report: Any) -> None:
        if report.when == "call":
            self.seconds[report.nodeid] = report.duration

    def pytest_sessionfinish(self) -> None:
        self.path.write_text(json.dumps(self.seconds))


def ends_with(arguments: list[str], project: Path, seconds: float, plugins: Sequence[object] = ()) -> int | None:
    """Return pytest's exit code in a fork of this process that works in a project; None after too many seconds."""
    child = os.fork()
    if not child:
        os.setpgid(0, 0)
        os.chdir(project)
        sys.path[:0] = [str(project / "src"), str(project)]
        os.environ |= {"PYTHONPATH": f"{project / 'src'}:{project}", "OMP_NUM_THREADS": "1"}
        silent = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(silent, stream)
        import pytest

        os._exit(int(pytest.main(["-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", *arguments], list(plugins))))
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None


def chosen_tests(file: Path, project: Path, options: argparse.Namespace) -> tuple[list[str], float]:
    """Return pytest's arguments for a module's tests that are quick, and how long these take.

    What was measured before is kept beside ``--out``. Exits where the tests fail without a mutant.
    """
    tests, kept, path = tests_of(file), options.out.with_suffix(".durations.json"), project / "durations.json"
    known: dict[str, float] = json.loads(kept.read_text()) if kept.is_file() else {}
    if unknown := [test for test in tests if not any(name.startswith(f"{test}::") for name in known)]:
        if ends_with(unknown, project, 900, [Durations(path)]):
            sys.exit(f"{file}: its tests fail without a mutant: python -m pytest -x {' '.join(unknown)}")
        known |= json.loads(path.read_text())
        kept.write_text(json.dumps(known, indent=1))
    own = {name: took for name, took in known.items() if name.partition("::")[0] in tests}
    slow = [name for name, took in own.items() if took > options.slow]
    # a name with a parameter may hold what no argument can: the whole test is left out then
    left_out = dict.fromkeys(f"--deselect={name.partition('[')[0]}" for name in slow)
    quick = sum(took for name, took in own.items() if name not in slow)
    return [*tests, *left_out], quick


def check(file: Path, project: Path, options: argparse.Namespace, known: list[dict[str, Any]]) -> None:
    """Append what came of each mutant of a module that is not known; the project holds the module unchanged after."""
    mutants = drawn(ROOT / file, MUTANTS)[len(known) :]
    if not mutants:
        return
    tests, seconds = chosen_tests(file, project, options)
    there, rows = project / file, list(known)
    whole = there.read_text("utf-8")
    for kind, line, text in mutants:
        there.write_text(text, "utf-8")
        try:
            caught = ends_with(tests, project, options.seconds or 60 + 10 * seconds) != 0
        finally:
            there.write_text(whole, "utf-8")
        rows.append({"module": str(file), "kind": kind, "line": line, "caught": caught})
        with open(options.out, "a", encoding="utf-8") as f:
            f.write(json.dumps(rows[-1]) + "\n")
        if options.show and not caught:
            changes = difflib.unified_diff(
                ast.unparse(ast.parse(whole)).splitlines(), text.splitlines(), lineterm="", n=0
            )
            print("\n".join(list(changes)[3:]), flush=True)
    print(
        f"{file}: {sum(bool(row['caught']) for row in rows)} of {len(rows)} caught ({seconds:.1f} s a run)", flush=True
    )


def modules(options: argparse.Namespace) -> list[Path]:
    """Return the modules that are asked for."""
    asked = list(options.module)
    for name in GROUPS[options.group] if options.group else ():
        path = PACKAGE / name
        asked += (
            sorted(each.relative_to(ROOT) for each in (ROOT / path).glob("*.py")) if (ROOT / path).is_dir() else [path]
        )
    return asked


def table(found: dict[str, list[dict[str, Any]]]) -> str:
    """Return a line a module: mutants, caught, and where the others are."""
    lines = ["| module | mutants | caught | not caught (kind:line) |", "|---|---:|---:|---|"]
    for module, rows in found.items():
        lived = ", ".join(f"{row['kind']}:{row['line']}" for row in rows if not row["caught"])
        lines.append(f"| {module} | {len(rows)} | {sum(bool(row['caught']) for row in rows)} | {lived} |")
    return "\n".join(lines)


def results(out: Path) -> dict[str, list[dict[str, Any]]]:
    """Return module -> what is known of its mutants, in their order."""
    found: dict[str, list[dict[str, Any]]] = {}
    for line in out.read_text("utf-8").splitlines() if out.is_file() else []:
        row = json.loads(line)
        found.setdefault(row["module"], []).append(row)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("module", nargs="*", type=Path)
    parser.add_argument("--group", choices=sorted(GROUPS))
    parser.add_argument("--out", type=Path, default=Path("mutants.jsonl"))
    parser.add_argument("--seconds", type=float, help="most that a run may take; else it follows from the tests")
    parser.add_argument("--slow", type=float, default=1.0, help="seconds from which on a test is left out")
    parser.add_argument("--show", action="store_true")
    options = parser.parse_args()
    for name in LIBRARIES:
        importlib.import_module(name)
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder) / "project"
        shutil.copytree(ROOT, project, ignore=ignored, ignore_dangling_symlinks=True)
        # read by the content of a file, not by its time: a mutant is written in the second of another
        compileall.compile_dir(
            project / PACKAGE, quiet=2, invalidation_mode=py_compile.PycInvalidationMode.CHECKED_HASH
        )
        sys.dont_write_bytecode = True
        for file in modules(options):
            check(file, project, options, results(options.out).get(str(file), []))
    print(table(results(options.out)))


def ignored(folder: str, names: list[str]) -> set[str]:
    """Return what a copy of the project does without: data, results but the published ones, what tools leave behind."""
    top = {"data"} if Path(folder) == ROOT else set()
    if Path(folder) == ROOT / "results":
        top = {name for name in names if not name.endswith(".md")}
    return top.union({"__pycache__", ".venv", ".git", ".snakemake"}).intersection(names)


if __name__ == "__main__":
    main()
