"""A mutation check: small bugs planted one at a time in a module, and whether its tests notice.

    python benchmarks/mutants.py src/covidseg/plan/catalogue.py tests/unit/plan/test_parts.py ...
    python benchmarks/mutants.py --group plan          # a module list with the tests that import them, as below

Each mutant changes one place of the syntax tree: a comparison, an arithmetic operator, a constant, a condition, a
return or a statement, drawn with a fixed seed, 12 a module. The tests run in a copy of the project, stop at the first
failure and are ended after ``--seconds``, which counts as caught. Results are kept in ``--out``, one JSON line a
mutant, so that an interrupted check goes on with the next module; the table at the end is over all lines of that file.
"""

from __future__ import annotations

import argparse
import ast
import copy
import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
MUTANTS = 12
SWAPS: dict[type[ast.AST], type[ast.AST]] = {
    ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt,
    ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Add, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult, ast.Pow: ast.Mult, ast.BitOr: ast.BitAnd, ast.BitAnd: ast.BitOr,
    ast.And: ast.Or, ast.Or: ast.And,
}  # fmt: skip
GROUPS = {
    "plan": {
        "src/covidseg/plan": ["tests/unit/plan"],
        "src/covidseg/schema/references.py": ["tests/unit/plan/test_references.py"],
    },
    "freshness": {
        "src/covidseg/upkeep/freshness.py": [
            "tests/unit/plan/test_references.py", "tests/unit/plan/test_plan_prior.py",
            "tests/unit/plan/test_masks_of.py",
        ],
        "src/covidseg/upkeep/prepare.py": [
            "tests/unit/plan/test_references.py", "tests/unit/plan/test_plan_prior.py", "tests/unit/upkeep",
        ],
        "src/covidseg/upkeep/content.py": ["tests/unit/upkeep/test_content.py"],
    },
    "masks": {
        "src/covidseg/inference/masks.py": ["tests/unit/plan/test_masks_of.py", "tests/unit/inference/test_masks.py"],
    },
}  # fmt: skip


def kinds(node: ast.AST) -> list[str]:
    """Return the kinds of mutants that a node allows."""
    found = []
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
    nodes = [(number, kind) for number, node in enumerate(ast.walk(tree)) for kind in kinds(node)]
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


def check(file: Path, tests: list[str], copy_: Path, seconds: float) -> Iterator[dict[str, object]]:
    """Yield what came of each mutant of a module; the copy holds the module unchanged before and after."""
    there = copy_ / file
    whole = there.read_text("utf-8")
    for kind, line, text in drawn(ROOT / file, MUTANTS):
        there.write_text(text, "utf-8")
        try:
            yield {"module": str(file), "kind": kind, "line": line, "caught": not passes(tests, copy_, seconds)}
        finally:
            there.write_text(whole, "utf-8")


def passes(tests: list[str], project: Path, seconds: float) -> bool:
    """Return whether the tests pass in a project within a time."""
    command = [sys.executable, "-B", "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *tests]
    environment = os.environ | {"PYTHONPATH": f"{project / 'src'}:{project}", "OMP_NUM_THREADS": "1"}
    try:
        done = subprocess.run(command, cwd=project, env=environment, capture_output=True, timeout=seconds, check=False)
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


def modules(group: str) -> Iterator[tuple[Path, list[str]]]:
    """Yield the modules of a group with their tests."""
    for name, tests in GROUPS[group].items():
        path = ROOT / name
        for file in sorted(path.glob("*.py")) if path.is_dir() else [path]:
            yield file.relative_to(ROOT), tests


def table(out: Path) -> str:
    """Return a line a module: mutants, caught, and where the others are."""
    results: dict[str, list[dict[str, object]]] = {}
    for line in out.read_text("utf-8").splitlines():
        found = json.loads(line)
        results.setdefault(found["module"], []).append(found)
    lines = ["| module | mutants | caught | not caught (kind:line) |", "|---|---:|---:|---|"]
    for module, rows in results.items():
        lived = ", ".join(f"{row['kind']}:{row['line']}" for row in rows if not row["caught"])
        lines.append(f"| {module} | {len(rows)} | {sum(bool(row['caught']) for row in rows)} | {lived} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("module", nargs="?", type=Path)
    parser.add_argument("tests", nargs="*")
    parser.add_argument("--group", choices=sorted(GROUPS))
    parser.add_argument("--out", type=Path, default=Path("mutants.jsonl"))
    parser.add_argument("--seconds", type=float, default=120)
    options = parser.parse_args()
    pairs = list(modules(options.group)) if options.group else [(options.module, options.tests)]
    options.out.touch()
    done = {json.loads(line)["module"] for line in options.out.read_text("utf-8").splitlines()}
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder) / "project"
        ignored = shutil.ignore_patterns("__pycache__", ".venv", ".git", ".snakemake", "results", "data", "*.jsonl")
        shutil.copytree(ROOT, project, ignore=ignored, ignore_dangling_symlinks=True)
        for name in ("data",):  # src/covidseg/data is code
            shutil.copytree(ROOT / "src" / "covidseg" / name, project / "src" / "covidseg" / name, dirs_exist_ok=True)
            shutil.copytree(ROOT / "tests" / "unit" / name, project / "tests" / "unit" / name, dirs_exist_ok=True)
        for file, tests in pairs:
            if str(file) in done:
                continue
            if not passes(tests, project, options.seconds):
                sys.exit(f"{file}: its tests fail or need more than {options.seconds:g} s without a mutant")
            rows = list(check(file, tests, project, options.seconds))
            with open(options.out, "a", encoding="utf-8") as f:
                f.writelines(json.dumps(row) + "\n" for row in rows)
            print(f"{file}: {sum(bool(row['caught']) for row in rows)} of {len(rows)} caught", flush=True)
    print(table(options.out))


if __name__ == "__main__":
    main()
