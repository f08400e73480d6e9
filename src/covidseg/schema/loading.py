"""Reading and validating YAML: a failure is one line with file, path to the key and the nearest legal name."""

from __future__ import annotations

import json
import math
import re
import typing
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from covidseg.base.errors import UserError, nearest, redacted
from covidseg.base.files import need_regular
from covidseg.schema.config import Config
from covidseg.schema.dataset import Dataset
from covidseg.schema.paper import Paper
from covidseg.schema.protocol import Preset, Protocol

M = TypeVar("M", bound=BaseModel)
LARGEST = 2_000_000  # values in a file; an alias counts as all that it stands for
DEEPEST = 100  # values within values; thousands would overflow the stack of PyYAML's C parser
TYPE = re.compile(r"\[key\]|[a-z-]+\[.+\]")  # these, as list[int], stand in pydantic's paths but are no keys
EXPECTED = {  # what pydantic says of Python, said of YAML
    "list_type": "a list, as [one, another]",
    "tuple_type": "a list, as [one, another]",
    "dict_type": "keys and values, as {key: value}",
    "model_type": "keys and values, as {key: value}",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "string_type": "text; quote what YAML takes for a number or a date",
}
TAGS = {"tables": 2, "figures": 2, "train": 1}  # nor are the names of a union's members, which stand in such a place


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """A YAML loader that refuses repeated keys, of which PyYAML silently takes the last one."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        """Build a mapping; raise for a repeated key."""
        seen = set()
        for key, _ in node.value:
            if (name := str(key.value)) in seen:
                raise yaml.constructor.ConstructorError(problem=f"key {key.value!r} twice", problem_mark=key.start_mark)
            seen.add(name)
        mapping: dict[Any, Any] = super().construct_mapping(node, deep)
        return mapping


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML mapping. Raises UserError when the file is missing, unreadable or not a mapping."""
    need_regular(path)
    try:
        text = path.read_text("utf-8")
        _shallow(text)
        value = yaml.load(text, Loader=_Loader)
        if _size(value, {}) > LARGEST:
            raise ValueError(f"more than {LARGEST} values, aliases counted as what they stand for")
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError) as e:
        raise UserError(f"{path}: cannot be read ({e})") from e
    except Exception as e:  # values such as "!!timestamp x" make PyYAML raise almost anything
        mark = getattr(e, "problem_mark", None)
        at = f" at line {mark.line + 1}" if mark else ""
        raise UserError(f"{path}: not valid YAML{at}: {getattr(e, 'problem', e)}") from e
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise UserError(f"{path}: expected keys and values, found {type(value).__name__}")
    return value


def _shallow(text: str) -> None:
    """Raise ValueError for a text whose values are nested too deeply."""
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST:
            raise ValueError(f"values nested more than {DEEPEST} deep")


def _size(value: Any, known: dict[int, float]) -> float:
    """Return the number of values in a tree, counting aliases at each use; infinity for a circular structure."""
    if not isinstance(value, dict | list | tuple):
        return 1
    if id(value) not in known:
        known[id(value)] = math.inf  # until all below it is counted
        below = value.values() if isinstance(value, dict) else value
        known[id(value)] = 1 + sum([_size(part, known) for part in below])
    return known[id(value)]


def parse(model: type[M], value: Any, where: str) -> M:
    """Validate ``value``; ``where`` names the file in the message. Raises UserError."""
    try:
        return model.model_validate(value)
    except ValidationError as e:
        raise UserError(f"{where}: {explain(model, e)}") from None


def load(model: type[M], path: Path) -> M:
    """Read and validate one YAML file. Raises UserError with one line."""
    return parse(model, read_yaml(path), str(path))


FILES: dict[str, type[BaseModel]] = {
    "config": Config,
    "dataset": Dataset,
    "paper": Paper,
    "preset": Preset,
    "protocol": Protocol,
}


def json_schemas() -> dict[str, str]:
    """Return file name -> JSON schema of each kind of YAML file, as ``workflow/schemas`` holds them for editors."""
    return {f"{name}.json": json.dumps(model.model_json_schema(), indent=1) + "\n" for name, model in FILES.items()}


def explain(model: type[BaseModel], error: ValidationError) -> str:
    """Return the first problem as ``path.to.key: what is wrong; the nearest legal name``."""
    first = error.errors(include_url=False)[0]
    loc = [str(part) for part in first["loc"] if not TYPE.fullmatch(str(part))]
    if loc and (at := TAGS.get(loc[0])):
        del loc[at : at + 1]
    path = ".".join(loc) or "(top level)"
    if first["type"] == "extra_forbidden":
        keys = _keys(model, [str(p) for p in first["loc"][:-1]])
        return f"{path}: unknown key; {nearest(loc[-1], keys)}"
    if first["type"] == "missing":
        return f"{path}: missing"
    if first["type"] == "union_tag_invalid":
        ctx = typing.cast(dict[str, str], first["ctx"])
        key = ctx["discriminator"].removesuffix("()")
        tags = [tag.strip(" '") for tag in ctx["expected_tags"].split(",")]
        return f"{path}.{key}: unknown value {ctx['tag']!r}; {nearest(ctx['tag'], tags)}"
    if first["type"] == "literal_error":
        legal = typing.cast(dict[str, str], first.get("ctx", {})).get("expected", "")
        names = [name.strip(" '") for name in legal.replace(" or ", ",").split(",")]
        return f"{path}: unknown value {first['input']!r}; {nearest(str(first['input']), names)}"
    if first["type"] == "string_pattern_mismatch":
        return f"{path}: unusable name {str(first['input'])[:60]!r}; use letters, digits, dot, dash and underscore"
    if first["type"] in EXPECTED:
        return f"{path}: expected {EXPECTED[first['type']]} (found {redacted(str(first['input']))[:60]!r})"
    said = first["msg"].removeprefix("Value error, ")
    return f"{path}: {said[0].lower()}{said[1:]} (found {redacted(str(first['input']))[:60]!r})"


def _keys(model: Any, loc: list[str]) -> list[str]:
    """Return the legal keys of the model found at ``loc`` below ``model``."""
    for name in loc:
        candidates = _models(model)
        if member := next((c for c in candidates if name in _tags(c)), None):
            model = member
            continue
        owner = next((c for c in candidates if isinstance(c, type) and name in c.model_fields), None)
        model = owner.model_fields[name].annotation if owner else model
    return [field.alias or key for candidate in _models(model) for key, field in candidate.model_fields.items()]


def _tags(model: type[BaseModel]) -> set[Any]:
    """Return the tags of a member of a union: the values of its fields that have a single legal value."""
    values = [typing.get_args(field.annotation) for field in model.model_fields.values()]
    literal = [typing.get_origin(field.annotation) is typing.Literal for field in model.model_fields.values()]
    return {args[0] for args, legal in zip(values, literal, strict=True) if legal and len(args) == 1}


def _models(annotation: Any) -> list[type[BaseModel]]:
    """Return the models named anywhere inside an annotation."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in typing.get_args(annotation) for model in _models(part)]
