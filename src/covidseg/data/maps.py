"""Others' maps in a canonical store: which case holds the map of a slice."""

from __future__ import annotations


def case_of(folder: str, name: str) -> str:
    """Return the case that holds the map of the slice ``name`` by the method whose maps lie in ``folder``."""
    return f"{folder.replace('/', '.')}.{name}"
