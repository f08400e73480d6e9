"""Charts as SVG inside the page."""

from __future__ import annotations

import io
from typing import Any


def canvas(rows: int, columns: int, size: tuple[float, float]) -> Any:
    """Return matplotlib's figure and its axes (rows, columns), set up so that equal data give equal bytes."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot, style

    style.use("default")  # not the user's own
    matplotlib.rcParams["svg.hashsalt"] = "covidseg"
    return pyplot.subplots(rows, columns, figsize=size, layout="constrained", squeeze=False)


def embedded(drawing: Any) -> str:
    """Return a figure as an ``<svg>`` element, and close it."""
    from matplotlib import pyplot

    text = io.StringIO()
    drawing.savefig(text, format="svg", metadata={"Date": None})
    pyplot.close(drawing)
    return "<svg" + text.getvalue().split("<svg", 1)[1]
