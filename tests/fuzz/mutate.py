"""Seeded mutations of YAML trees, of text and of bytes, and how long to go on.

A fixed number of rounds by default, so that a failure is the same on every machine; COVIDSEG_FUZZ_ROUNDS=NUMBER does
so many per target, from the same seeds, and COVIDSEG_FUZZ=SECONDS goes on for so long per target, each time from other
seeds. A failure shows the file.
"""

from __future__ import annotations

import copy
import datetime
import os
import random
import time
from collections.abc import Iterator
from typing import Any

HOSTILE: list[Any] = [
    None, True, False, 0, -1, 1, 255, 256, 2**31, 2**63, 10**400, -(10**400), 0.5, -0.0, 1e-320, 1e9, 1e308,
    float("nan"), float("inf"), -float("inf"), "", " ", ".", "..", "../x", "a/b", "a/../b", "~", "-rf", "#", "nan", "1",
    "true", "$(touch pwned)", "`touch pwned`", "'; touch pwned; '", 'a"b', "a'b", "a b", "{x}", "{", "%s", "\n",
    "a\nb", "a\0b", "\x1b[31m", "ä", "\u202e", "²", "x" * 5000, "released", "all", "auto", "phantom", "none", "lung",
    [], {}, [[]], [None], [0, 0], [1, 2, 3], ["a", "a"], {"a": {}}, {"": ""}, {1: 2}, {None: 1}, {"name": "unet"},
    datetime.date(2020, 1, 1), b"\xff\x00",
]  # fmt: skip
LAUGHS = "".join(f"l{k}: &l{k} [{', '.join(['*l' + str(k - 1) if k else '1'] * 9)}]\n" for k in range(12))  # 9 ** 12
SNIPPETS = [
    "a: &a [*a, *a]\n", "b: &b {<<: *b}\n", "? [1, 2]\n: x\n", "? {a: b}\n: x\n", "<<: [1]\n", "x: *nothing\n",
    "x: !!python/object/apply:os.system [touch pwned]\n", "? __import__('os').system('touch pwned')\n: 1\n",
    "__use_yte__: true\n", "[" * 3000, "x: 0x1_0\n", "x: 1:30:00\n", "x: 2020-99-99\n", "x: !!binary $$\n",
    "x: !!int abc\n", "x: !!timestamp x\n", "x: " + "9" * 5000 + "\n", "x: 1e999999\n", "!!set {a, b}\n",
    "---\n", "...\n", "\t", "\0", "\ufeff", "%YAML 9.9\n---\n",
    LAUGHS, "[" * 100_000, "x: " + "[" * 90 + "]" * 90 + "\n",
]  # fmt: skip


def rounds(number: int) -> Iterator[random.Random]:
    """Yield a generator of random numbers per round."""
    number = int(os.environ.get("COVIDSEG_FUZZ_ROUNDS", number))
    seconds = float(os.environ.get("COVIDSEG_FUZZ", 0))
    end, seed = time.monotonic() + seconds, time.time_ns() if seconds else 0
    while seed < number or (seconds and time.monotonic() < end):
        yield random.Random(seed)
        seed += 1


def nodes(tree: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the paths of all nodes below the root."""
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    return [found for key, value in items for found in ((*path, key), *nodes(value, (*path, key)))]


def tree(rng: random.Random, original: Any) -> Any:
    """Return a copy of a tree in which one to three nodes are replaced, removed, renamed, doubled or moved."""
    changed = copy.deepcopy(original)
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        paths = nodes(changed)
        if not paths:
            break
        *parents, key = rng.choice(paths)
        owner = changed
        for part in parents:
            owner = owner[part]
        match rng.randrange(6):
            case 0 | 1:
                owner[key] = copy.deepcopy(rng.choice(HOSTILE))
            case 2:
                del owner[key]
            case 3 if isinstance(owner, dict):
                name = rng.choice(HOSTILE)
                owner[name if name.__hash__ else str(name)] = owner.pop(key)
            case 4:
                other: Any = changed
                for part in rng.choice(paths):
                    if not isinstance(other, dict | list) or (isinstance(other, dict) and part not in other):
                        break
                    other = other[part] if isinstance(other, dict) else other[part % len(other)] if other else other
                owner[key] = copy.deepcopy(other)
            case _:
                owner[key] = number(rng, owner[key])
    return changed


def number(rng: random.Random, value: Any) -> Any:
    """Return a number near an edge for a number, else something with the value in it."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return rng.choice([-value, value * 1e9, int(value) * 10**9, value / 1e9, value + 1, str(value)])
    return rng.choice([[value], {"x": value}, [value, value], str(value) + rng.choice(["x", " ", "\n", "/"])])


def text(rng: random.Random, original: str) -> bytes:
    """Return a file's text with a line doubled, lost, moved or strange, or its bytes damaged."""
    lines = original.splitlines(keepends=True)
    for _ in range(rng.choice([1, 1, 2])):
        at = rng.randrange(len(lines)) if lines else 0
        match rng.randrange(5):
            case 0:
                lines.insert(at, rng.choice(lines or [""]))
            case 1 if lines:
                del lines[at]
            case 2:
                lines.insert(at, rng.choice(SNIPPETS))
            case 3 if lines:
                lines[at] = rng.choice([" ", "  ", "- ", ""]) + lines[at].lstrip()
            case _:
                return data(rng, "".join(lines).encode())
    return "".join(lines).encode()


def data(rng: random.Random, original: bytes, span: int | None = None) -> bytes:
    """Return bytes with some overwritten (within the first ``span``), cut out, doubled or the end missing."""
    changed = bytearray(original)
    for _ in range(rng.choice([1, 1, 2, 4])):
        at = rng.randrange(min(span or len(changed), len(changed)) or 1)
        match rng.randrange(8):
            case 0:
                del changed[at:]
            case 1:
                del changed[at : at + rng.randrange(1, 9)]
            case 2:
                changed[at:at] = changed[at : at + 8]
            case _:
                width = rng.choice([1, 1, 2, 4])
                value = rng.choice(
                    [rng.randbytes(width), b"\0" * width, b"\xff" * width, b"\x7f" + b"\xff" * (width - 1)]
                )
                changed[at : at + width] = value
    return bytes(changed)
