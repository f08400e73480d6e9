"""The papers' figures, drawn from saved predictions and from the canonical store."""

from __future__ import annotations

from covidseg.figures import examples, qualitative
from covidseg.figures.page import draw, save
from covidseg.plan import Plan
from covidseg.schema import ExamplesFigure


def write(plan: Plan, paper: str, name: str) -> None:
    """Draw one figure of a paper as PNG and PDF. Raises UserError when no slice qualifies."""
    figure = plan.papers[paper].figures[name]
    if isinstance(figure, ExamplesFigure):
        rows, shares = examples.rows(plan, figure), True
    else:
        rows, shares = qualitative.rows(plan, paper, figure), figure.shares
    drawing = draw(rows, shares, "Phantom CT, not patients." if plan.config.mode == "demo" else "")
    for suffix in ("png", "pdf"):
        save(drawing, plan.paths.figure(paper, name, suffix))
