"""Networks and losses as files: what a folder registers, and options read from a signature without importing it.

A network or a loss is one file. Its options are the arguments of its class or function, with their annotations
(``bool``, ``int``, ``float``, ``str``, ``tuple[float, ...]`` or ``Literal``) and literal defaults; what planning has to
know besides is a literal at the top of the file. Planning reads both from the syntax tree and never imports torch.
"""

from __future__ import annotations

import ast
import contextlib
import functools
import importlib
import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from covidseg.base.errors import UserError, nearest

KINDS = {"bool": "true or false", "int": "a whole number", "float": "a number", "str": "a text", "numbers": "numbers"}


@dataclass(frozen=True)
class Parameter:
    """One option: its kind (a key of KINDS, or ``choice``), its default and, for a choice, the legal values."""

    kind: str
    default: Any
    choices: tuple[Any, ...] = ()

    def problem(self, value: Any) -> str | None:
        """Return what is wrong with ``value`` and the remedy, or None."""
        if self.kind == "choice":
            if value in self.choices:
                return None
            return f"unknown value {value!r}; {nearest(str(value), map(str, self.choices))}"
        number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        legal = {
            "bool": isinstance(value, bool),
            "int": number and isinstance(value, int),
            "float": number,
            "str": isinstance(value, str),
            "numbers": isinstance(value, list | tuple)
            and all(FLOAT.problem(item) is None for item in (value if isinstance(value, list | tuple) else ())),
        }[self.kind]
        return None if legal else f"expected {KINDS[self.kind]} (found {str(value)[:60]!r})"


FLOAT = Parameter("float", 1.0)
EMPTY: Mapping[str, Parameter] = {}


@dataclass(frozen=True)
class Registry:
    """The files of one package that each define one thing of the file's name: a listing of the package's folder.

    package: dotted name of the package; noun: what a message calls its things; positional: how many leading arguments
    are no options; declares: the literal that a file has to hold beside its class or function. Other files of the
    folder are helpers, and so is a file whose name begins with an underscore.
    """

    package: str
    noun: str
    positional: int
    declares: str

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names of all things of the folder, sorted."""
        files = (path for folder in self._folders() for path in folder.glob("[!_]*.py"))
        return tuple(sorted(path.stem for path in files if self._registers(path)))

    def options(self, name: str) -> dict[str, Parameter]:
        """Return the options of ``name`` by key. Raises UserError when there is no such thing."""
        return read(self._file(name), self.positional)

    def declared(self, name: str) -> Any:
        """Return the literal that the file of ``name`` declares. Raises UserError when there is no such thing."""
        return self.constant(name, self.declares)

    def constant(self, name: str, key: str, default: Any = None) -> Any:
        """Return a literal at the top of the file of ``name``, or ``default``. Raises UserError for an unknown name."""
        return literals(self._file(name)).get(key, default)

    def _folders(self) -> list[Path]:
        return [Path(folder) for folder in sys.modules[self.package].__path__]

    def _registers(self, path: Path) -> bool:
        return self.declares in literals(path) and _definition(path) is not None

    def _file(self, name: str) -> Path:
        for folder in self._folders() if name.isidentifier() and not name.startswith("_") else ():
            if (path := folder / f"{name}.py").is_file() and self._registers(path):
                return path
        raise UserError(f"unknown {self.noun} {name!r}; {nearest(name, self.names)}")

    def check(
        self, name: Any, given: Mapping[str, Any], where: str, name_at: str, common: Mapping[str, Parameter] = EMPTY
    ) -> None:
        """Refuse an unknown ``name`` or an unknown or ill-typed option; ``common`` options are legal for every name.

        ``where`` and ``name_at`` are the paths to the options and to the name. Raises UserError with such a path.
        """
        try:
            legal = {**common, **self.options(str(name))}
        except UserError as e:
            raise UserError(f"{name_at}: {e}") from None
        for key, value in given.items():
            if key not in legal:
                raise UserError(f"{where}.{key}: unknown key; {nearest(str(key), legal)}")
            if problem := legal[key].problem(value):
                raise UserError(f"{where}.{key}: {problem}")

    def load(self, name: str) -> Any:
        """Import the file of ``name`` and return its class or function."""
        self.options(name)
        module = importlib.import_module(f"{self.package}.{name}")
        return next(value for key, value in vars(module).items() if _is_named(key, name))


@functools.cache
def read(path: Path, positional: int) -> dict[str, Parameter]:
    """Return the options of the class (arguments of ``__init__``) or function that has the name of its file.

    The name is compared without case and underscores: ``ssanet.py`` defines ``SSANet``. ``positional`` leading
    arguments are left out. Raises ValueError when the file does not define it, or an option has no usable
    annotation or default: a mistake in the program, not in its input.
    """
    found = _definition(path)
    if found is None:
        raise ValueError(f"{path}: defines no class or function named {path.stem}")
    arguments = found.args.args + found.args.kwonlyargs
    defaults = [None] * (len(found.args.args) - len(found.args.defaults)) + [*found.args.defaults]
    pairs = list(zip(arguments, [*defaults, *found.args.kw_defaults], strict=True))[positional:]
    return {argument.arg: _parameter(argument, default, path) for argument, default in pairs}


@functools.cache
def literals(path: Path) -> dict[str, Any]:
    """Return the constants of a Python file, as ``NAME = {"key": 1}`` at its top level, whose value is a literal."""
    found = {}
    for node in _tree(path).body:
        if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            with contextlib.suppress(ValueError):
                found[node.targets[0].id] = ast.literal_eval(node.value)
    return found


def _definition(path: Path) -> ast.FunctionDef | None:
    """Return the function, or the ``__init__`` of the class, that has the name of its file; None without one."""
    for node in _tree(path).body:
        if isinstance(node, ast.ClassDef) and _is_named(node.name, path.stem):
            return next((f for f in node.body if isinstance(f, ast.FunctionDef) and f.name == "__init__"), None)
        if isinstance(node, ast.FunctionDef) and _is_named(node.name, path.stem):
            return node
    return None


@functools.cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"), str(path))


def _is_named(name: str, stem: str) -> bool:
    return name.replace("_", "").lower() == stem.replace("_", "")


def _parameter(argument: ast.arg, default: ast.expr | None, path: Path) -> Parameter:
    annotation = ast.unparse(argument.annotation) if argument.annotation else ""
    if default is None:
        raise ValueError(f"{path}: {argument.arg} needs a default")
    value = ast.literal_eval(default)
    if annotation in ("bool", "int", "float", "str"):
        return Parameter(annotation, value)
    if annotation == "tuple[float, ...]":
        return Parameter("numbers", value)
    if isinstance(argument.annotation, ast.Subscript) and annotation.startswith("Literal["):
        choices = ast.literal_eval(argument.annotation.slice)
        return Parameter("choice", value, choices if isinstance(choices, tuple) else (choices,))
    raise ValueError(f"{path}: {argument.arg} has no usable annotation ({annotation or 'none'})")
