"""Write the pages in docs/reference from the program itself: ``make docs``. A test fails when they are out of step."""

from __future__ import annotations

import ast
import inspect
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import typer

from covidseg import evaluate, losses, nets
from covidseg.base.signature import Parameter, Registry
from covidseg.cli import app
from covidseg.schema import json_schemas

HERE = Path(__file__).parent
EMPTY = (
    "Rows of different protocols are not comparable. The last three columns are computed on a slice of 3 x 4 pixels of "
    "1 mm, whose diagonal is 5 mm. A mask that is not empty has 2 pixels there; distances and shares of pixels depend "
    "on that."
)
HEAD = "# {title}\n\nWritten by `make docs` from the program; do not edit. {about}\n"


def pages() -> dict[str, str]:
    """Return name -> text of every page."""
    return {
        "verbs.md": HEAD.format(title="Verbs", about="Every verb is `covidseg VERB`.") + _verbs(),
        "keys.md": HEAD.format(title="YAML keys", about="Unknown keys are refused with their path.") + _keys(),
        "networks.md": HEAD.format(title="Networks", about="Names and options legal under `net:` of a run.")
        + _things(nets.NETS, {}),
        "losses.md": HEAD.format(title="Losses", about="Names and options legal under `losses:` of a run.")
        + _things(losses.LOSSES, losses.COMMON),
        "metrics.md": HEAD.format(title="Metrics by protocol", about=EMPTY) + _metrics(),
    }


def _verbs() -> str:
    parts = []
    for name, command in typer.main.get_command(app).commands.items():  # type: ignore[attr-defined]
        arguments = " ".join(p.metavar or p.name.upper() for p in command.params if p.param_type_name == "argument")
        rows = [
            (f"`{', '.join(p.opts)}`", _line(getattr(p, "help", "")), "" if p.default is None else f"`{p.default}`")
            for p in command.params
            if p.param_type_name == "option" and p.name != "help"
        ]
        table = _table(("Option", "What it is", "Default"), rows) if rows else ""
        parts.append(
            f"\n## {name}\n\n`covidseg {name}{' ' + arguments if arguments else ''}`\n\n{_prose(command.help)}\n{table}"
        )
    return "".join(parts)


def _keys() -> str:
    parts = []
    for file, text in sorted(json_schemas().items()):
        schema = json.loads(text)
        models = {schema["title"]: schema} | schema.get("$defs", {})
        parts.append(f"\n## {file.removesuffix('.json')}\n\n{_prose(schema.get('description', ''))}\n")
        for title, model in models.items():
            if "properties" in model:
                rows = [
                    (f"`{key}`", _type(value), _line(value.get("description", "")), _default(value))
                    for key, value in model["properties"].items()
                ]
                parts.append(f"\n### {title}\n{_table(('Key', 'Type', 'What it is', 'Default'), rows)}")
    return "".join(parts)


def _things(registry: Registry, common: dict[str, Parameter]) -> str:
    parts = (
        [_table(("Option of all", "Default"), [(f"`{key}`", f"`{p.default}`") for key, p in common.items()])]
        if common
        else []
    )
    for name in registry.names:
        rows = [(f"`{key}`", _kind(p), f"`{p.default}`") for key, p in registry.options(name).items()]
        table = _table(("Option", "Type", "Default"), rows) if rows else ""
        parts.append(f"\n## {name}\n\n{_prose(_docstring(registry, name))}\n{table}")
    return "".join(parts)


def _metrics() -> str:
    parts = []
    head = ("Metric", "Better", "What it is", "Both masks empty", "Only the prediction empty", "Only the truth empty")
    for path in sorted((HERE.parent / "workflow" / "protocols").glob("*.yaml")):
        protocol = evaluate.protocol(path)
        nothing, something = np.zeros((1, 3, 4), bool), np.zeros((1, 3, 4), bool)
        something[0, 1, 1:3] = True
        pairs = ((nothing, nothing), (something, nothing), (nothing, something))
        values = [evaluate.score_arrays(protocol, truth, mask, (1.0, 1.0, 1.0)) for truth, mask in pairs]
        rows = [
            (metric.title, metric.better, _line(metric.about), *(_value(found[key]) for found in values))
            for key, metric in protocol.metrics.items()
        ]
        parts.append(f"\n## {path.stem}\n\n{_prose(protocol.about)}\n{_table(head, rows)}")
    return "".join(parts)


def _value(number: float) -> str:
    return "none" if math.isnan(number) else f"{number:.3g}"


def _docstring(registry: Registry, name: str) -> str:
    """Return the docstring of the class or function that a file defines, without importing it."""
    tree = ast.parse(registry._file(name).read_text("utf-8"))
    found: Iterator[Any] = (n for n in tree.body if isinstance(n, ast.ClassDef | ast.FunctionDef))
    return next(ast.get_docstring(n) or "" for n in found if n.name.replace("_", "").lower() == name.replace("_", ""))


def _type(value: dict[str, Any]) -> str:
    if "enum" in value:
        return ", ".join(f"`{item}`" for item in value["enum"])
    if "const" in value:
        return f"`{value['const']}`"
    if "$ref" in value:
        return value["$ref"].rpartition("/")[2]
    for several in ("anyOf", "oneOf"):
        if several in value:
            return " or ".join(_type(item) for item in value[several])
    if value.get("type") == "array":
        return f"list of {_type(value['items'])}" if isinstance(value.get("items"), dict) else "list"
    if isinstance(value.get("additionalProperties"), dict):
        return f"map to {_type(value['additionalProperties'])}"
    return {"object": "map", "integer": "whole number"}.get(value.get("type", ""), value.get("type", "any"))


def _kind(parameter: Parameter) -> str:
    return ", ".join(f"`{c}`" for c in parameter.choices) if parameter.kind == "choice" else parameter.kind


def _default(value: dict[str, Any]) -> str:
    return f"`{json.dumps(value['default'])}`" if "default" in value else ""


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n" + "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)


def _line(text: str | None) -> str:
    return " ".join((text or "").split())


def _prose(text: str | None) -> str:
    """Return a docstring as Markdown: paragraphs kept, double backticks made single."""
    return inspect.cleandoc(text or "").replace("``", "`")


def main() -> None:
    """Write all pages."""
    (HERE / "reference").mkdir(exist_ok=True)
    for name, text in pages().items():
        (HERE / "reference" / name).write_text(text, "utf-8")


if __name__ == "__main__":
    main()
