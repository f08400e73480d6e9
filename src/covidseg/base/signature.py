"""Options of networks and losses, read from the signature in their source file without importing it.

A network or a loss is one file and one name in a list. Its options are the arguments of its class or function, with
their annotations (``bool``, ``int``, ``float``, ``str``, ``tuple[float, ...]`` or ``Literal``) and literal defaults;
planning checks a YAML file against them and never imports torch.
"""

from __future__ import annotations

import ast
import functools
import importlib
import math
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
    """The files of one package that each define one thing of the file's name.

    package: dotted name of the package; noun: what a message calls its things; names: the files, without ``.py``;
    positional: how many leading arguments are no options.
    """

    package: str
    noun: str
    names: tuple[str, ...]
    positional: int

    def options(self, name: str) -> dict[str, Parameter]:
        """Return the options of ``name`` by key. Raises UserError when there is no such thing."""
        if name not in self.names:
            raise UserError(f"unknown {self.noun} {name!r}; {nearest(name, self.names)}")
        folder = Path(__file__).parents[1].joinpath(*self.package.split(".")[1:])
        return read(folder / f"{name}.py", self.positional)

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
    for node in ast.parse(path.read_text("utf-8"), str(path)).body:
        if isinstance(node, ast.ClassDef) and _is_named(node.name, path.stem):
            found = next(f for f in node.body if isinstance(f, ast.FunctionDef) and f.name == "__init__")
            break
        if isinstance(node, ast.FunctionDef) and _is_named(node.name, path.stem):
            found = node
            break
    else:
        raise ValueError(f"{path}: defines no class or function named {path.stem}")
    arguments = found.args.args + found.args.kwonlyargs
    defaults = [None] * (len(found.args.args) - len(found.args.defaults)) + [*found.args.defaults]
    pairs = list(zip(arguments, [*defaults, *found.args.kw_defaults], strict=True))[positional:]
    return {argument.arg: _parameter(argument, default, path) for argument, default in pairs}


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
