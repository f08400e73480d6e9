"""A mutation check: small bugs planted one at a time in a module, and whether its tests notice.

    python benchmarks/mutants.py src/covidseg/plan/catalogue.py     # one module or several
    python benchmarks/mutants.py --group metrics                    # the modules of a group, as below
    python benchmarks/mutants.py --group elsewhere --mutants 2      # all modules of no group, two bugs in each

Each mutant changes one place of the syntax tree: a comparison, an arithmetic operator, a constant, a condition, a
return or a statement, drawn with a fixed seed, 12 a module. It meets the tests of ``tests/unit`` and ``tests/nets``
that call the function in which it stands, the quickest first. To know which these are, all tests run once before, for
some minutes; what was found is kept beside ``--out``. The tests run in a copy of the project, stop at the first failure
and are ended after ``--seconds``, which counts as caught. The libraries are imported once: each run is a fork of a
process that has them.

Results are kept in ``--out``, a JSON line a mutant as soon as it is known, so that an interrupted check goes on with
the next mutant; the table at the end is over all lines of that file. ``--show`` prints changes that were not caught.

``equivalents.yaml`` names mutants that no test can tell from the program, and why: those that were not caught and are
named there are counted apart.
"""

from __future__ import annotations

import argparse
import ast
import compileall
import copy
import difflib
import functools
import hashlib
import importlib
import json
import os
import py_compile
import random
import re
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
import yaml

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
ELSEWHERE = "elsewhere"  # all modules of no group
EQUIVALENTS = Path(__file__).with_name("equivalents.yaml")
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


def annotated_unions(tree: ast.AST) -> Iterator[ast.AST]:
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
    types = {id(node) for node in annotated_unions(tree)}
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


class Calls:
    """A pytest plugin that keeps for each test how long it took and which functions of the package it called.

    What a fixture calls counts for all tests of the file, as another of them may be the one that looks at it.
    """

    def __init__(self, project: Path, out: Path) -> None:
        self.source, self.out = f"{project / PACKAGE}/", out
        self.tests = dict[str, dict[str, Any]]()
        self.shared = dict[str, set[str]]()
        self.called = set[str]()
        self.failed = 0

    def seen(self, frame: FrameType, event: str, argument: object) -> None:
        """Note a call; this is the function that Python calls at each."""
        code = frame.f_code
        if code.co_filename.startswith(self.source):
            self.called.add(f"{code.co_filename.removeprefix(self.source)}:{code.co_firstlineno}")

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> Generator[None]:
        with self.watched(self.shared.setdefault(item.nodeid.partition("::")[0], set())):
            return (yield)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None]:
        called = set[str]()
        with self.watched(called):
            result = yield
        self.tests[item.nodeid] = {"called": called}
        return result

    @contextmanager
    def watched(self, called: set[str]) -> Iterator[None]:
        self.called = called
        threading.settrace(self.seen)
        sys.settrace(self.seen)
        try:
            yield
        finally:
            sys.settrace(None)
            threading.settrace(None)  # type: ignore[arg-type]

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" and report.passed:
            self.tests[report.nodeid]["seconds"] = report.duration
        self.failed += report.failed

    def pytest_sessionfinish(self) -> None:
        passed = {name: test for name, test in self.tests.items() if "seconds" in test}
        for name, test in passed.items():
            test["called"] = sorted(test["called"] | self.shared[name.partition("::")[0]])
        self.out.write_text(json.dumps([passed, self.failed]))


class Only:
    """A pytest plugin that runs some tests only, in a given order."""

    def __init__(self, names: list[str]) -> None:
        self.order = {name: k for k, name in enumerate(names)}

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items[:] = sorted((item for item in items if item.nodeid in self.order), key=lambda i: self.order[i.nodeid])


def function_at(tree: ast.AST, line: int) -> int | None:
    """Return the first line, decorators included, of the innermost function around a line; None outside of any."""
    around = [
        min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) and node.lineno <= line <= (node.end_lineno or 0)
    ]
    return max(around, default=None)


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


def all_calls(project: Path, out: Path) -> dict[str, dict[str, Any]]:
    """Return test -> its seconds and the functions that it calls, kept in ``out`` until its file changes."""
    known: dict[str, Any] = json.loads(out.read_text()) if out.is_file() else {}
    found = [path for folder in ("unit", "nets") for path in sorted((ROOT / "tests" / folder).rglob("test_*.py"))]
    files = {str(path.relative_to(ROOT)): path for path in found}
    texts = {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in files.items()}
    known = {name: entry for name, entry in known.items() if entry["sha256"] == texts.get(name)}
    for name in files.keys() - known:
        written = project / "calls.json"
        written.unlink(missing_ok=True)
        ends_with([name, "--maxfail=1000"], project, 900, [Calls(project, written)])
        if not written.is_file():
            sys.exit(f"{name} does not end without a mutant")
        found, failed = json.loads(written.read_text())
        known[name] = {"sha256": texts[name], "tests": found}
        print(f"{name}: {len(found)} tests" + (f", without {failed} that fail" if failed else ""), flush=True)
        out.write_text(json.dumps(known))
    return {test: each for entry in known.values() for test, each in entry["tests"].items()}


def chosen_tests(
    file: Path, line: int, known: dict[str, dict[str, Any]], options: argparse.Namespace
) -> tuple[list[str], float]:
    """Return the tests that call the function around a line, the quickest files first, and how long they take.

    Outside of functions, these are the tests that call any function of the module. Where none does, because they run
    the program in a process of its own, they are those of the files that import the module. Tests that take more than
    ``--slow`` seconds are left out, and those that would make a run longer than ``--most``.
    """
    inside, first = str(file.relative_to(PACKAGE)), function_at(ast.parse((ROOT / file).read_text("utf-8")), line)
    wanted = f"{inside}:" if first is None else f"{inside}:{first}"
    found: dict[str, dict[str, float]] = {}
    for name, test in known.items():
        called = any(each.startswith(wanted) for each in test["called"]) if first is None else wanted in test["called"]
        if called and test["seconds"] <= options.slow:
            found.setdefault(name.partition("::")[0], {})[name] = test["seconds"]
    if not found:
        for name, test in known.items():
            if (path := name.partition("::")[0]) and test["seconds"] <= options.slow and imports(ROOT / path, file):
                found.setdefault(path, {})[name] = test["seconds"]
    names, spent = list[str](), 0.0
    own = [each for each in found if file.stem in Path(each).stem]
    for each in [*own, *sorted(found.keys() - set(own), key=lambda each: sum(found[each].values()))]:
        for name, seconds in sorted(found[each].items(), key=lambda pair: pair[1]):
            if spent + seconds <= options.most:
                names.append(name)
                spent += seconds
    return names, spent


@functools.cache
def imported(test: Path) -> frozenset[str]:
    """Return the modules that a test file imports, and names that may be modules."""
    found = set[str]()
    for node in ast.walk(ast.parse(test.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}", *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return frozenset(found)


def imports(test: Path, file: Path) -> bool:
    """Return whether a test file imports a module."""
    return ".".join(file.relative_to("src").with_suffix("").parts).removesuffix(".__init__") in imported(test)


def check(
    file: Path,
    project: Path,
    calls: dict[str, dict[str, Any]],
    options: argparse.Namespace,
    known: list[dict[str, Any]],
) -> None:
    """Append what came of each mutant of a module that is not known; the project holds the module unchanged after."""
    mutants = drawn(ROOT / file, options.mutants)[len(known) :]
    if not mutants:
        return
    there, rows = project / file, list(known)
    whole = there.read_text("utf-8")
    for kind, line, text in mutants:
        names, seconds = chosen_tests(file, line, calls, options)
        tests = list(dict.fromkeys(name.partition("::")[0] for name in names))
        there.write_text(text, "utf-8")
        try:
            ended = ends_with(tests, project, options.seconds or 60 + 10 * seconds, [Only(names)]) if names else 0
            caught = ended not in (0, pytest.ExitCode.NO_TESTS_COLLECTED)
        finally:
            there.write_text(whole, "utf-8")
        rows.append({"module": str(file), "kind": kind, "line": line, "caught": caught})
        with open(options.out, "a", encoding="utf-8") as f:
            f.write(json.dumps(rows[-1]) + "\n")
        if options.show and not caught:
            print("\n".join(changed_lines(whole, text)), flush=True)
    print(f"{file}: {sum(bool(row['caught']) for row in rows)} of {len(rows)} caught", flush=True)


def changed_lines(whole: str, text: str) -> list[str]:
    """Return the lines in which a mutant differs from its module, marked - and +."""
    changes = difflib.unified_diff(ast.unparse(ast.parse(whole)).splitlines(), text.splitlines(), lineterm="", n=0)
    return list(changes)[3:]


def equivalents(file: Path) -> dict[int, str]:
    """Return of a module's mutants, by their numbers, those that ``equivalents.yaml`` names, and why.

    An entry names a change: ``was`` in the one line that goes, ``now`` at its place in the one that comes.
    """
    named = yaml.safe_load(EQUIVALENTS.read_text("utf-8")).get(str(file), [])
    whole, found = (ROOT / file).read_text("utf-8"), {}
    for number, (_, _, text) in enumerate(drawn(ROOT / file, MUTANTS)):
        lines = [line[1:] for line in changed_lines(whole, text)]
        for each in named if len(lines) == 2 else ():
            places = re.finditer(re.escape(each["was"]), lines[0])
            if lines[1] in (lines[0][: at.start()] + each["now"] + lines[0][at.end() :] for at in places):
                found[number] = each["why"]
    return found


def modules(options: argparse.Namespace) -> list[Path]:
    """Return the modules that are asked for."""
    if options.group == ELSEWHERE:
        grouped = {path for group in GROUPS for path in group_modules(group)}
        every = sorted(path.relative_to(ROOT) for path in (ROOT / PACKAGE).rglob("*.py"))
        return [*options.module, *(path for path in every if path not in grouped)]
    return [*options.module, *(group_modules(options.group) if options.group else [])]


def group_modules(group: str) -> list[Path]:
    """Return the modules of a group, without those of the folders below its folders."""
    found = list[Path]()
    for name in GROUPS[group]:
        path = PACKAGE / name
        found += (
            sorted(each.relative_to(ROOT) for each in (ROOT / path).glob("*.py")) if (ROOT / path).is_dir() else [path]
        )
    return found


def table(found: dict[str, list[dict[str, Any]]]) -> str:
    """Return a line a module: mutants that tests can tell, those caught, the others of them, and those left out."""
    lines = ["| module | mutants | caught | not caught (kind:line) | equivalent |", "|---|---:|---:|---|---:|"]
    sums = [0, 0, 0]
    for module, rows in found.items():
        same = {number for number in equivalents(Path(module)) if number < len(rows) and not rows[number]["caught"]}
        told = [row for number, row in enumerate(rows) if number not in same]
        lived = ", ".join(f"{row['kind']}:{row['line']}" for row in told if not row["caught"])
        counts = [len(told), sum(bool(row["caught"]) for row in told), len(same)]
        sums = [a + b for a, b in zip(sums, counts, strict=True)]
        lines.append(f"| {module} | {counts[0]} | {counts[1]} | {lived} | {counts[2]} |")
    return "\n".join([*lines, f"| all | {sums[0]} | {sums[1]} | | {sums[2]} |"])


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
    parser.add_argument("--group", choices=[*sorted(GROUPS), ELSEWHERE])
    parser.add_argument("--mutants", type=int, default=MUTANTS, help="how many in each module, at most")
    parser.add_argument("--out", type=Path, default=Path("mutants.jsonl"))
    parser.add_argument("--seconds", type=float, help="most that a run may take; else it follows from the tests")
    parser.add_argument("--slow", type=float, default=5.0, help="seconds from which on a test is left out")
    parser.add_argument("--most", type=float, default=30.0, help="seconds of tests that a mutant meets at most")
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
        calls = all_calls(project, options.out.with_suffix(".calls.json"))
        for file in modules(options):
            check(file, project, calls, options, results(options.out).get(str(file), []))
    print(table(results(options.out)))


def ignored(folder: str, names: list[str]) -> set[str]:
    """Return what a copy of the project does without: data, results but the published ones, what tools leave behind."""
    top = {"data"} if Path(folder) == ROOT else set()
    if Path(folder) == ROOT / "results":
        top = {name for name in names if not name.endswith(".md")}
    return top.union({"__pycache__", ".venv", ".git", ".snakemake"}).intersection(names)


if __name__ == "__main__":
    main()
